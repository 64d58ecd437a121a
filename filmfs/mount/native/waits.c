/* Waiting for the next request: awake in a burst.
 *
 * A program that looks up one name after another asks again some microseconds after each answer. A processor that went
 * to sleep meanwhile needs longer than that to wake, a virtual one several times as long. So after a request that came
 * within AWAKE_NS of the wait for it, the next is waited for awake. One that does not come within that time ends it: a
 * burst costs its own length and AWAKE_NS more. Anybody else who wants the processor is given it; who does so loses it
 * for long, so then nothing is waited for awake for a while.
 */
#define _GNU_SOURCE
#include "hooks.h"

#include <poll.h>
#include <sched.h>
#include <time.h>

#define AWAKE_NS 60000
#define YIELD_NS 500000 /* who only works between two requests takes less */
#define CROWDED_NS 100000000

static bool in_burst, came; /* these are of the one thread that waits */
static int64_t crowded_until;

void waits_note_request(bool is_for_python) { came = is_for_python; }

int64_t waits_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static bool wait_for(int fd, bool awake, unsigned asleep_us) {
    struct pollfd ask = {.fd = fd, .events = POLLIN};
    int64_t start = waits_now(), at = start;
    int ready = poll(&ask, 1, 0);
    if (in_burst && came && awake)
        while (!ready && at - start < AWAKE_NS && at >= crowded_until) {
            sched_yield();
            ready = poll(&ask, 1, 0);
            int64_t before = at;
            at = waits_now();
            if (at - before > YIELD_NS)
                crowded_until = at + CROWDED_NS;
        }
    if (!ready && asleep_us) {
        struct timespec moment = {asleep_us / 1000000, asleep_us % 1000000 * 1000};
        ready = ppoll(&ask, 1, &moment, NULL);
    }
    in_burst = ready > 0 && waits_now() - start < AWAKE_NS;
    return ready > 0;
}

bool waits_until_readable(int fd, unsigned most_us) { return wait_for(fd, most_us > 0, most_us); }

bool waits_awake(int fd, bool may) { return wait_for(fd, may, 0); }
