/* Handles by which somebody writes who may not keep set-user-ID: the kernel says so with each WRITE, pyfuse3 does not. */
#define _GNU_SOURCE
#include "hooks.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t *handles; /* few: each is taken by the handler of the write that brought it */
static size_t count, room;

void writes_note_demotion(uint64_t handle) {
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < count && handles[i] != handle)
        i++;
    if (i == room) {
        size_t wanted = room * 2 + 16;
        uint64_t *larger = realloc(handles, wanted * sizeof *larger);
        if (larger)
            handles = larger, room = wanted;
    }
    if (i == count && i < room)
        handles[count++] = handle;
    pthread_mutex_unlock(&lock);
}

bool writes_take_demotion(uint64_t handle) {
    bool found = false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count && !found; i++)
        if ((found = handles[i] == handle))
            handles[i] = handles[--count];
    pthread_mutex_unlock(&lock);
    return found;
}
