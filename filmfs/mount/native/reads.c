/* READ requests answered from tables of runs, without Python: at once when the page cache has all, else in a thread. */
#define _GNU_SOURCE
#include "hooks.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUCKETS 1024
#define THREADS 8
#define FAILURES 64
#define INLINE_MAX (1u << 16) /* more is a copy that another core can make meanwhile */
#define BUFFER (1u << 20)     /* libfuse asks the kernel for requests of at most so much */

struct table {
    uint64_t node, size;
    struct run *runs;
    struct source *sources;
    size_t run_count, source_count;
    unsigned users; /* reads under way, and one for the index */
    struct table *next;
};

struct job {
    int fd;
    uint64_t unique, offset;
    uint32_t size;
    struct table *table;
    struct job *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct table *index_[BUCKETS];
static struct job *first, **last = &first;
static unsigned idle, threads;
static uint64_t served;
static struct {
    uint64_t node;
    int error;
} failures[FAILURES];
static size_t failure_count;

static pthread_rwlock_t wire = PTHREAD_RWLOCK_INITIALIZER;
static bool wire_is_open;

static void free_table(struct table *table) {
    for (size_t i = 0; i < table->source_count; i++) {
        if (table->sources[i].fd >= 0)
            close(table->sources[i].fd);
        free(table->sources[i].bytes);
    }
    free(table->sources);
    free(table->runs);
    free(table);
}

static void leave(struct table *table) {
    pthread_mutex_lock(&lock);
    bool unused = --table->users == 0;
    pthread_mutex_unlock(&lock);
    if (unused)
        free_table(table);
}

static struct table **place_of(uint64_t node) {
    struct table **place = &index_[(node * 0x9e3779b97f4a7c15u) >> 54];
    while (*place && (*place)->node != node)
        place = &(*place)->next;
    return place;
}

int reads_serve(uint64_t node, uint64_t size, struct run *runs, size_t run_count, struct source *sources,
                size_t source_count) {
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return -1;
    *table = (struct table){node, size, runs, sources, run_count, source_count, 1, NULL};
    reads_unserve(node);
    pthread_mutex_lock(&lock);
    struct table **place = place_of(node);
    table->next = *place;
    *place = table;
    pthread_mutex_unlock(&lock);
    return 0;
}

void reads_unserve(uint64_t node) {
    pthread_mutex_lock(&lock);
    struct table **place = place_of(node), *table = *place;
    if (table)
        *place = table->next;
    pthread_mutex_unlock(&lock);
    if (table)
        leave(table);
}

/* The first run that ends after `offset`. */
static size_t find_run(const struct table *table, uint64_t offset) {
    size_t low = 0, high = table->run_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->runs[middle].offset + table->runs[middle].length <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Fills `out`; 0, or an errno. EAGAIN: a disk would have to be waited for, and `flags` forbids it. */
static int fetch(const struct source *source, uint64_t from, char *out, size_t length, int flags) {
    if (source->fd < 0) {
        memcpy(out, source->bytes + from, length);
        return 0;
    }
    while (length) {
        struct iovec piece = {out, length};
        ssize_t got = preadv2(source->fd, &piece, 1, (off_t)from, flags);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return flags && errno == EOPNOTSUPP ? EAGAIN : errno;
        if (got == 0)
            return flags ? EAGAIN : EIO; /* shorter than its record says */
        out += got, from += (uint64_t)got, length -= (size_t)got;
    }
    return 0;
}

static int fill(const struct table *table, uint64_t offset, char *out, size_t length, int flags) {
    for (size_t i = find_run(table, offset); length; i++) {
        const struct run *run = i < table->run_count ? &table->runs[i] : NULL;
        size_t gap = length;
        if (run && run->offset < offset + length)
            gap = run->offset > offset ? (size_t)(run->offset - offset) : 0;
        memset(out, 0, gap);
        out += gap, offset += gap, length -= gap;
        if (!length)
            break;
        uint64_t skipped = offset - run->offset;
        size_t part = run->length - skipped < length ? (size_t)(run->length - skipped) : length;
        int error = fetch(&table->sources[run->source], run->from + skipped, out, part, flags);
        if (error)
            return error;
        out += part, offset += part, length -= part;
    }
    return 0;
}

static void note_failure(uint64_t node, int error) {
    pthread_mutex_lock(&lock);
    if (failure_count < FAILURES) {
        failures[failure_count].node = node;
        failures[failure_count++].error = error;
    }
    pthread_mutex_unlock(&lock);
}

static void answer(const struct job *job, char *buffer, size_t length) {
    int error = fill(job->table, job->offset, buffer, length, 0);
    if (error)
        note_failure(job->table->node, error);
    wire_reply(job->fd, job->unique, error ? EIO : 0, buffer, length);
}

static void *run_thread(void *unused) {
    (void)unused;
    char *buffer = NULL;
    for (;;) {
        pthread_mutex_lock(&lock);
        idle++;
        while (!first)
            pthread_cond_wait(&work, &lock);
        idle--;
        struct job *job = first;
        first = job->next;
        if (!first)
            last = &first;
        pthread_mutex_unlock(&lock);
        if (!buffer)
            buffer = aligned_alloc(4096, BUFFER);
        if (buffer)
            answer(job, buffer, job->size);
        else
            wire_reply(job->fd, job->unique, ENOMEM, NULL, 0);
        leave(job->table);
        free(job);
    }
    return NULL;
}

/* Hands a read to a thread. False when there is none to be had. */
static bool hand_over(int fd, uint64_t unique, struct table *table, uint64_t offset, uint32_t size) {
    struct job *job = malloc(sizeof *job);
    if (!job)
        return false;
    *job = (struct job){fd, unique, offset, size, table, NULL};
    pthread_mutex_lock(&lock);
    if (!idle && threads < THREADS) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run_thread, NULL) == 0) {
            pthread_detach(thread);
            threads++;
        }
    }
    bool there = threads > 0;
    if (there) {
        *last = job;
        last = &job->next;
        pthread_cond_signal(&work);
    }
    pthread_mutex_unlock(&lock);
    if (!there)
        free(job);
    return there;
}

bool reads_take(int fd, uint64_t unique, uint64_t node, uint64_t offset, uint32_t size) {
    pthread_mutex_lock(&lock);
    struct table *table = *place_of(node);
    if (table && size <= BUFFER) {
        table->users++;
        served++;
    } else {
        table = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (!table)
        return false;
    uint32_t length = 0;
    if (offset < table->size)
        length = table->size - offset < size ? (uint32_t)(table->size - offset) : size;
    if (length <= INLINE_MAX) {
        char buffer[INLINE_MAX];
        if (fill(table, offset, buffer, length, RWF_NOWAIT) == 0) {
            wire_reply(fd, unique, 0, buffer, length);
            leave(table);
            return true;
        }
    }
    if (hand_over(fd, unique, table, offset, length))
        return true;
    leave(table);
    return false;
}

bool reads_failure(uint64_t *node, int *error) {
    pthread_mutex_lock(&lock);
    bool some = failure_count > 0;
    if (some) {
        *node = failures[--failure_count].node;
        *error = failures[failure_count].error;
    }
    pthread_mutex_unlock(&lock);
    return some;
}

uint64_t reads_served(void) {
    pthread_mutex_lock(&lock);
    uint64_t count = served;
    pthread_mutex_unlock(&lock);
    return count;
}

ssize_t wire_reply(int fd, uint64_t unique, int error, const void *data, size_t length) {
    struct fuse_out_header out = {.unique = unique, .error = -error};
    struct iovec parts[2] = {{&out, sizeof out}, {(void *)data, error ? 0 : length}};
    out.len = (uint32_t)(sizeof out + parts[1].iov_len);
    pthread_rwlock_rdlock(&wire);
    ssize_t done = wire_is_open ? writev(fd, parts, 2) : -1;
    pthread_rwlock_unlock(&wire);
    return done;
}

void wire_set_open(bool open) {
    pthread_rwlock_wrlock(&wire);
    wire_is_open = open;
    pthread_rwlock_unlock(&wire);
}
