/* READ requests answered from tables of runs, without Python: at once when the page cache has all, else in a thread. */
#define _GNU_SOURCE
#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
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
#define PIPED_MIN (1u << 16)  /* less is cheaper to copy */
#define PAGE 4096u
#define SLOTS 256u            /* what a pipe may have without privileges (/proc/sys/fs/pipe-max-size) */
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
static char zeros[BUFFER]; /* never written: one page of the kernel's */

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

/* Bytes of a file that lie together; without a source they are zeros. */
struct piece {
    const struct source *source;
    uint64_t from;
    size_t length;
};

/* What the file has at `offset`, `length` bytes of it at most. `run` is the first one that ends after it, and goes on. */
static struct piece next_piece(const struct table *table, size_t *run, uint64_t offset, size_t length) {
    const struct run *at = *run < table->run_count ? &table->runs[*run] : NULL;
    if (!at || at->offset >= offset + length)
        return (struct piece){NULL, 0, length};
    if (at->offset > offset)
        return (struct piece){NULL, 0, (size_t)(at->offset - offset)};
    uint64_t skipped = offset - at->offset, left = at->length - skipped;
    if (left <= length)
        ++*run;
    return (struct piece){&table->sources[at->source], at->from + skipped, left < length ? (size_t)left : length};
}

static int fill(const struct table *table, uint64_t offset, char *out, size_t length, int flags) {
    for (size_t run = find_run(table, offset); length;) {
        struct piece piece = next_piece(table, &run, offset, length);
        int error = 0;
        if (piece.source)
            error = fetch(piece.source, piece.from, out, piece.length, flags);
        else
            memset(out, 0, piece.length);
        if (error)
            return error;
        out += piece.length, offset += piece.length, length -= piece.length;
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

/* What a thread works with. */
struct lane {
    int out, in; /* of a pipe, -1: none */
    char *buffer;
};

static void close_pipe(struct lane *lane) {
    if (lane->in >= 0)
        close(lane->in), close(lane->out);
    lane->in = lane->out = -1;
}

static bool have_pipe(struct lane *lane) {
    int ends[2];
    if (lane->in < 0 && pipe2(ends, O_CLOEXEC) == 0) {
        lane->out = ends[0], lane->in = ends[1];
        if (fcntl(lane->in, F_SETPIPE_SZ, SLOTS * PAGE) < (int)(SLOTS * PAGE))
            close_pipe(lane);
    }
    return lane->in >= 0;
}

/* Puts memory or pages of the page cache into a pipe, without a copy. 0, or an errno. */
static int pour(const struct piece *piece, int pipe) {
    struct iovec part = {piece->source ? piece->source->bytes + piece->from : zeros, piece->length};
    off_t from = (off_t)piece->from;
    size_t left = piece->length;
    while (left) {
        ssize_t done = piece->source && piece->source->fd >= 0
                           ? splice(piece->source->fd, &from, pipe, NULL, left, 0)
                           : vmsplice(pipe, &part, 1, 0);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done ? errno : EIO; /* shorter than its record says */
        part.iov_base = (char *)part.iov_base + done, part.iov_len -= (size_t)done;
        left -= (size_t)done;
    }
    return 0;
}

/* How many slots of a pipe the pieces of a read take, each page one at most. */
static size_t slots_of(const struct job *job) {
    uint64_t offset = job->offset;
    size_t left = job->size, slots = 1;
    for (size_t run = find_run(job->table, offset); left && slots <= SLOTS;) {
        struct piece piece = next_piece(job->table, &run, offset, left);
        slots += piece.length / PAGE + 2;
        offset += piece.length, left -= piece.length;
    }
    return slots;
}

/* Answers without copying: the kernel takes the pages from its own cache. False: nothing was sent. */
static bool answer_by_pipe(const struct job *job, struct lane *lane) {
    if (job->size < PIPED_MIN || slots_of(job) > SLOTS || !have_pipe(lane))
        return false;
    struct fuse_out_header out = {.unique = job->unique, .len = (uint32_t)sizeof out + job->size};
    uint64_t offset = job->offset;
    size_t left = job->size;
    int error = write(lane->in, &out, sizeof out) == sizeof out ? 0 : EIO;
    for (size_t run = find_run(job->table, offset); left && !error;) {
        struct piece piece = next_piece(job->table, &run, offset, left);
        error = pour(&piece, lane->in);
        offset += piece.length, left -= piece.length;
    }
    if (!error && wire_splice(job->fd, lane->out, out.len) == (ssize_t)out.len)
        return true;
    close_pipe(lane); /* with what is left in it */
    return !error;    /* what the kernel refused it has answered itself */
}

static void answer(const struct job *job, struct lane *lane) {
    if (answer_by_pipe(job, lane))
        return;
    if (!lane->buffer)
        lane->buffer = aligned_alloc(PAGE, BUFFER);
    int error = lane->buffer ? fill(job->table, job->offset, lane->buffer, job->size, 0) : ENOMEM;
    if (error)
        note_failure(job->table->node, error);
    struct iovec parts[2] = {[1] = {lane->buffer, job->size}};
    wire_reply(job->fd, job->unique, error ? EIO : 0, parts, error ? 1 : 2);
}

static void *run_thread(void *unused) {
    (void)unused;
    struct lane lane = {-1, -1, NULL};
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
        answer(job, &lane);
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
            struct iovec parts[2] = {[1] = {buffer, length}};
            wire_reply(fd, unique, 0, parts, 2);
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

ssize_t wire_reply(int fd, uint64_t unique, int error, struct iovec *parts, int count) {
    struct fuse_out_header out = {.unique = unique, .error = -error, .len = sizeof out};
    parts[0] = (struct iovec){&out, sizeof out};
    for (int i = 1; i < count; i++)
        out.len += (uint32_t)parts[i].iov_len;
    pthread_rwlock_rdlock(&wire);
    ssize_t done = wire_is_open ? writev(fd, parts, count) : -1;
    pthread_rwlock_unlock(&wire);
    return done;
}

ssize_t wire_splice(int fd, int pipe, size_t length) {
    pthread_rwlock_rdlock(&wire);
    ssize_t done = wire_is_open ? splice(pipe, NULL, fd, NULL, length, 0) : -1;
    pthread_rwlock_unlock(&wire);
    return done;
}

void wire_set_open(bool open) {
    pthread_rwlock_wrlock(&wire);
    wire_is_open = open;
    pthread_rwlock_unlock(&wire);
}
