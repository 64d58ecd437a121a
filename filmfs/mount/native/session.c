/* Gives an unmodified pyfuse3 what its libfuse does not have: kernel passthrough, reads without Python, and requests
 * that it does not know (COPY_FILE_RANGE, LSEEK, FALLOCATE).
 *
 * This module is loaded with RTLD_GLOBAL before pyfuse3, so that pyfuse3's call of fuse_session_new resolves to the one
 * here. That makes the session with libfuse's own and puts our `read` and `writev` between it and /dev/fuse. `read`
 * notes the opcode of every request under its `unique`; `writev` changes a reply only if its `unique` was noted.
 * Layouts: include/uapi/linux/fuse.h (Linux 6.9 and later for passthrough).
 */
#define _GNU_SOURCE
#include "hooks.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Newer than some distributions' headers. */
#define OPEN_PASSTHROUGH (1u << 7)
#define INIT_EXT (1u << 30)
#define INIT_PARALLEL_DIROPS (1u << 18)
#define INIT2_PASSTHROUGH (1u << 5)
#define INIT_KILLPRIV_V2 (1u << 28) /* without it the kernel asks for an attribute before each write */
#define WRITE_KILL_SUIDGID (1u << 2)
#define MINOR_WITH_PASSTHROUGH 40
#define REQUEST_PAGES 128 /* half of what is read ahead: two threads answer at once, and each reply fits into a pipe */
#define DEV_BACKING_OPEN 0x4010e501ul
#define DEV_BACKING_CLOSE 0x4004e502ul
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
struct init_out { /* fuse_init_out of 7.40 */
    uint32_t major, minor, max_readahead, flags;
    uint16_t max_background, congestion_threshold;
    uint32_t max_write, time_gran;
    uint16_t max_pages, map_alignment;
    uint32_t flags2, max_stack_depth, unused[6];
};

/* struct fuse_custom_io of libfuse 3.11; what later versions add stays NULL. */
struct custom_io {
    ssize_t (*writev)(int, struct iovec *, int, void *);
    ssize_t (*read)(int, void *, size_t, void *);
    void *none[6];
};

#define BUCKETS 1024
#define TURN_NS 1000000 /* others in the event loop wait no longer than this for what is answered here */
#define QUICK_ROOM (1u << 16)
#define BARE 4096 /* files that are known to have no attributes */
#define CAPABILITY "security.capability"
#define OWN_NAME '\1' /* begins the names of attributes that stand for requests pyfuse3 does not know */

struct pending {
    uint64_t unique;
    uint32_t opcode;
    struct pending *next;
};
struct named {
    uint64_t handle;
    int32_t backing;
    struct named *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the two lists */
static struct pending *pending[BUCKETS];
static struct named *named;
static int session_fd = -1;
static uint64_t turn_mask; /* bits of a node number that are not part of st_ino */
static bool wanted, passthrough_wanted, offered, negotiated, demotion_offered;
static uint64_t requests[64];
static uint64_t bare[BARE]; /* by a hash; a newer file takes the place of an older one */

static void note(uint64_t unique, uint32_t opcode) {
    struct pending *entry = malloc(sizeof *entry);
    if (!entry)
        return; /* the reply then goes out as pyfuse3 made it */
    pthread_mutex_lock(&lock);
    struct pending **bucket = &pending[unique / 2 % BUCKETS];
    *entry = (struct pending){unique, opcode, *bucket};
    *bucket = entry;
    pthread_mutex_unlock(&lock);
}

/* The opcode of the request that is being answered; 0 when it was not noted. */
static uint32_t take(uint64_t unique) {
    uint32_t opcode = 0;
    pthread_mutex_lock(&lock);
    for (struct pending **at = &pending[unique / 2 % BUCKETS]; *at; at = &(*at)->next)
        if ((*at)->unique == unique) {
            struct pending *entry = *at;
            opcode = entry->opcode;
            *at = entry->next;
            free(entry);
            break;
        }
    pthread_mutex_unlock(&lock);
    return opcode;
}

static bool take_named(uint64_t handle, int32_t *backing) {
    bool found = false;
    pthread_mutex_lock(&lock);
    for (struct named **at = &named; *at; at = &(*at)->next)
        if ((*at)->handle == handle) {
            struct named *entry = *at;
            *backing = entry->backing;
            *at = entry->next;
            free(entry);
            found = true;
            break;
        }
    pthread_mutex_unlock(&lock);
    return found;
}

/* st_ino is the node's number without its turn; numbers below 2^44 are made of a hash and have none. */
static void mask_ino(uint64_t *ino) {
    if (*ino >> 44)
        *ino &= ~turn_mask;
}

static void mend_entry(struct fuse_entry_out *entry) { mask_ino(&entry->attr.ino); }

/* A file that was just made has no attributes until somebody sets one. The kernel asks for one before it is written. */
static uint64_t *bare_place(uint64_t node) { return &bare[(node & ~turn_mask) * 0x9e3779b97f4a7c15u >> 52]; }

static void note_bare(uint64_t node) { __atomic_store_n(bare_place(node), node & ~turn_mask, __ATOMIC_RELAXED); }

static bool is_bare(uint64_t node) {
    return __atomic_load_n(bare_place(node), __ATOMIC_RELAXED) == (node & ~turn_mask);
}

static void forget_bare(uint64_t node) {
    if (is_bare(node))
        __atomic_store_n(bare_place(node), 0, __ATOMIC_RELAXED);
}

static void mend_open(struct fuse_open_out *open) {
    int32_t backing;
    if (!take_named(open->fh, &backing))
        return;
    open->open_flags = (open->open_flags | OPEN_PASSTHROUGH) & ~(uint32_t)(FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE);
    open->padding = (uint32_t)backing;
}

static void mend_init(struct init_out *init) {
    init->flags |= INIT_PARALLEL_DIROPS | (demotion_offered ? INIT_KILLPRIV_V2 : 0);
    if (init->max_pages > REQUEST_PAGES)
        init->max_pages = REQUEST_PAGES;
    if (!passthrough_wanted || !offered)
        return;
    init->minor = init->minor < MINOR_WITH_PASSTHROUGH ? MINOR_WITH_PASSTHROUGH : init->minor;
    init->flags |= INIT_EXT;
    init->flags2 |= INIT2_PASSTHROUGH;
    init->max_stack_depth = 1;
    negotiated = true;
}

static void mend_listing(char *data, size_t length) {
    while (length >= FUSE_NAME_OFFSET_DIRENTPLUS) {
        struct fuse_direntplus *entry = (struct fuse_direntplus *)data;
        size_t size = FUSE_DIRENTPLUS_SIZE(entry);
        mend_entry(&entry->entry_out);
        mask_ino(&entry->dirent.ino);
        if (size >= length)
            return;
        data += size, length -= size;
    }
}

static void mend(uint32_t opcode, char *data, size_t length) {
    switch (opcode) {
    case FUSE_INIT:
        if (length >= sizeof(struct init_out))
            mend_init((struct init_out *)data);
        break;
    case FUSE_LOOKUP:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
        if (length >= sizeof(struct fuse_entry_out))
            mend_entry((struct fuse_entry_out *)data);
        break;
    case FUSE_CREATE:
        if (length >= sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)) {
            note_bare(((struct fuse_entry_out *)data)->nodeid);
            mend_entry((struct fuse_entry_out *)data);
            mend_open((struct fuse_open_out *)(data + sizeof(struct fuse_entry_out)));
        }
        break;
    case FUSE_OPEN:
        if (length >= sizeof(struct fuse_open_out))
            mend_open((struct fuse_open_out *)data);
        break;
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        if (length >= sizeof(struct fuse_attr_out))
            mask_ino(&((struct fuse_attr_out *)data)->attr.ino);
        break;
    case FUSE_READDIRPLUS:
        mend_listing(data, length);
        break;
    }
}

static ssize_t hook_writev(int fd, struct iovec *parts, int count, void *unused) {
    (void)unused;
    const struct fuse_out_header *out = parts[0].iov_base;
    if (out->unique) {
        uint32_t opcode = take(out->unique);
        if (count == 2 && !out->error && parts[0].iov_len == sizeof *out)
            mend(opcode, parts[1].iov_base, parts[1].iov_len);
    }
    return writev(fd, parts, count);
}

/* Makes a request that pyfuse3 does not know one for an attribute whose name says what is asked. */
static ssize_t rename_request(struct fuse_in_header *in, size_t room, const char *name) {
    struct fuse_getxattr_in *body = (struct fuse_getxattr_in *)(in + 1);
    size_t length = strlen(name) + 1, total = sizeof *in + sizeof *body + length;
    if (total > room)
        return -1;
    *body = (struct fuse_getxattr_in){.size = 64};
    memcpy(body + 1, name, length);
    in->opcode = FUSE_GETXATTR;
    in->len = (uint32_t)total;
    return (ssize_t)total;
}

static ssize_t translate(struct fuse_in_header *in, ssize_t length, size_t room) {
    char name[160];
    if (in->opcode == FUSE_COPY_FILE_RANGE) {
        struct fuse_copy_file_range_in ask = *(struct fuse_copy_file_range_in *)(in + 1);
        snprintf(name, sizeof name, "%ccopy %llu %llu %llu %llu %llu", OWN_NAME, (unsigned long long)ask.fh_in,
                 (unsigned long long)ask.off_in, (unsigned long long)ask.fh_out, (unsigned long long)ask.off_out,
                 (unsigned long long)ask.len);
    } else if (in->opcode == FUSE_LSEEK) {
        struct fuse_lseek_in ask = *(struct fuse_lseek_in *)(in + 1);
        snprintf(name, sizeof name, "%cseek %llu %llu %u", OWN_NAME, (unsigned long long)ask.fh,
                 (unsigned long long)ask.offset, ask.whence);
    } else if (in->opcode == FUSE_FALLOCATE) {
        struct fuse_fallocate_in ask = *(struct fuse_fallocate_in *)(in + 1);
        snprintf(name, sizeof name, "%callocate %llu %llu %llu %u", OWN_NAME, (unsigned long long)ask.fh,
                 (unsigned long long)ask.offset, (unsigned long long)ask.length, ask.mode);
    } else {
        return length;
    }
    ssize_t renamed = rename_request(in, room, name);
    return renamed < 0 ? length : renamed;
}

static bool answer_quickly(int fd, const struct fuse_in_header *in) {
    static _Alignas(8) char reply[QUICK_ROOM]; /* requests are read by one thread */
    int error = 0;
    ssize_t length = quick_answer(in, reply, sizeof reply, &error);
    if (length == QUICK_NOT)
        return false;
    mend(in->opcode, reply, (size_t)length);
    struct iovec parts[2] = {[1] = {reply, (size_t)length}};
    wire_reply(fd, in->unique, error, parts, length ? 2 : 1);
    return true;
}

enum answered { NOT_YET, BY_C, BY_PYTHON };

static enum answered look_at(int fd, struct fuse_in_header *in, ssize_t *length, size_t room) {
    requests[in->opcode < 64 ? in->opcode : 63]++;
    switch (in->opcode) {
    case FUSE_INIT: {
        const struct fuse_init_in *init = (const struct fuse_init_in *)(in + 1);
        bool extended = (size_t)*length >= sizeof *in + sizeof *init && init->flags & INIT_EXT;
        offered = extended && init->flags2 & INIT2_PASSTHROUGH;
        demotion_offered = init->flags & INIT_KILLPRIV_V2;
        session_fd = fd;
        /* A request that could be read may be gone when it is read: who made it was killed. */
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        wire_set_open(true);
        break;
    }
    case FUSE_READ: {
        const struct fuse_read_in *ask = (const struct fuse_read_in *)(in + 1);
        if (reads_take(fd, in->unique, in->nodeid, ask->offset, ask->size))
            return BY_C;
        break;
    }
    case FUSE_LOOKUP:
    case FUSE_GETATTR:
    case FUSE_READDIRPLUS:
    case FUSE_RELEASE:
        if (answer_quickly(fd, in))
            return BY_PYTHON;
        break;
    case FUSE_INTERRUPT: /* pyfuse3 has no use for it, and libfuse would keep those for reads that never reach it */
        return BY_C;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        return NOT_YET;
    case FUSE_GETXATTR: {
        char *name = (char *)(in + 1) + sizeof(struct fuse_getxattr_in);
        if (*name == OWN_NAME)
            *name = '?'; /* nobody but us may ask so */
        if (is_bare(in->nodeid) && !strcmp(name, CAPABILITY)) {
            struct iovec header;
            wire_reply(fd, in->unique, ENODATA, &header, 1);
            return BY_C;
        }
        break;
    }
    case FUSE_WRITE: {
        const struct fuse_write_in *what = (const struct fuse_write_in *)(in + 1);
        if (what->write_flags & WRITE_KILL_SUIDGID)
            writes_note_demotion(what->fh);
        break;
    }
    case FUSE_SETXATTR:
        forget_bare(in->nodeid);
        break;
    default:
        *length = translate(in, *length, room);
    }
    note(in->unique, in->opcode);
    return NOT_YET;
}

static ssize_t hook_read(int fd, void *buffer, size_t room, void *unused) {
    (void)unused;
    int64_t turn_ends = waits_now() + TURN_NS;
    do {
        ssize_t length = read(fd, buffer, room);
        enum answered answered = NOT_YET;
        if (length >= (ssize_t)sizeof(struct fuse_in_header))
            answered = look_at(fd, buffer, &length, room);
        waits_note_request(answered != BY_C);
        if (length < 0 && errno == EAGAIN)
            break;
        if (answered == NOT_YET)
            return length;
    } while (waits_now() < turn_ends && quick_more(fd));
    errno = EINTR; /* pyfuse3 waits for the next one */
    return -1;
}

__attribute__((visibility("default"))) void *fuse_session_new(void *args, const void *operations, size_t size,
                                                              void *data) {
    void *library = dlopen("libfuse3.so.3", RTLD_LAZY | RTLD_NOLOAD);
    void *(*make)(void *, const void *, size_t, void *) = NULL;
    int (*set_io)(void *, const struct custom_io *, int) = NULL;
    if (library) {
        *(void **)&make = dlsym(library, "fuse_session_new");
        *(void **)&set_io = dlsym(library, "fuse_session_custom_io");
        if (!set_io)
            *(void **)&set_io = dlsym(library, "fuse_session_custom_io_30");
    }
    if (!make)
        return NULL;
    void *session = make(args, operations, size, data);
    static const struct custom_io io = {hook_writev, hook_read, {NULL}};
    if (session && wanted && set_io)
        set_io(session, &io, 0); /* fuse_session_mount puts the real descriptor there */
    return session;
}

void session_want(bool passthrough, uint64_t mask) {
    wanted = true;
    passthrough_wanted = passthrough;
    turn_mask = mask;
}

bool session_is_there(void) { return session_fd >= 0; }

bool session_passes(void) { return negotiated; }

bool session_demotes(void) { return session_is_there() && demotion_offered; }

uint64_t session_requests(uint32_t opcode) { return requests[opcode]; }

int session_open_backing(int fd) {
    struct backing_map map = {.fd = fd};
    return ioctl(session_fd, DEV_BACKING_OPEN, &map);
}

int session_close_backing(uint32_t backing) { return ioctl(session_fd, DEV_BACKING_CLOSE, &backing); }

int session_name(uint64_t handle, int32_t backing) {
    struct named *entry = malloc(sizeof *entry);
    if (!entry)
        return -1;
    pthread_mutex_lock(&lock);
    *entry = (struct named){handle, backing, named};
    named = entry;
    pthread_mutex_unlock(&lock);
    return 0;
}
