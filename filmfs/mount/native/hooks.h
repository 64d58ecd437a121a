/* What the parts of the extension share: session.c hooks libfuse, reads.c answers READ requests, quick.c has Python
 * answer some others, waits.c waits for requests, module.c is the face to Python. */
#ifndef FILMFS_HOOKS_H
#define FILMFS_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* A run of a file: `length` bytes at `offset` are those of sources[source] from `from` on. Gaps read as zeros. */
struct run {
    uint64_t offset, length, from;
    size_t source;
};

/* Where bytes are: a descriptor that the table owns, or (fd < 0) memory. */
struct source {
    int fd;
    char *bytes;
};

/* Answers reads of `node` from now on and takes over `runs` and `sources`. -1: no memory, and they are the caller's. */
int reads_serve(uint64_t node, uint64_t size, struct run *runs, size_t run_count, struct source *sources,
                size_t source_count);
void reads_unserve(uint64_t node);

/* Takes a READ request if there is a table for its node: answers it here or in a thread. */
bool reads_take(int fd, uint64_t unique, uint64_t node, uint64_t offset, uint32_t size);

/* One failed read since the last call: true, and what it was. */
bool reads_failure(uint64_t *node, int *error);
uint64_t reads_served(void);

/* Sends a reply of `count` parts, of which the first is for the header, unless the session was closed; a descriptor's
 * number may belong to another file then. As writev(2). */
ssize_t wire_reply(int fd, uint64_t unique, int error, struct iovec *parts, int count);
/* The same for a reply that lies in a pipe, header and all. */
ssize_t wire_splice(int fd, int pipe, size_t length);
void wire_set_open(bool open);

/* What the next session shall do, and which bits of a node's number are not part of st_ino. */
void session_want(bool passthrough, uint64_t turn_mask);
bool session_is_there(void);
bool session_passes(void);
uint64_t session_requests(uint32_t opcode);

/* Whether the kernel leaves it to us to take set-user-ID and set-group-ID from what is written, cut or given away. */
bool session_demotes(void);

/* Somebody without CAP_FSETID writes by a handle; whether somebody did since the last call. */
void writes_note_demotion(uint64_t handle);
bool writes_take_demotion(uint64_t handle);

/* Waits for at most so long until a descriptor can be read, awake while requests come in a burst; or for no longer than
 * that, and only if one may. Whether a request that was read was for Python: those that are answered without it make no
 * burst. All of one thread. */
bool waits_until_readable(int fd, unsigned most_us);
bool waits_awake(int fd, bool may);
void waits_note_request(bool is_for_python);
int64_t waits_now(void); /* in nanoseconds */

/* What Python answers to a LOOKUP, GETATTR, READDIRPLUS or RELEASE: the length of the reply's body, or an error; QUICK_NOT:
 * that is for pyfuse3. Then whether there is one more request, or will be in a moment. */
#define QUICK_NOT (-1)
struct fuse_in_header;
ssize_t quick_answer(const struct fuse_in_header *in, char *to, size_t room, int *error);
bool quick_more(int fd);
uint64_t quick_answers(void);

/* As ioctl(2): an id or 0, else -1 and errno. */
int session_open_backing(int fd);
int session_close_backing(uint32_t backing);

/* Has the reply that opens `handle` say passthrough. -1: no memory. */
int session_name(uint64_t handle, int32_t backing);

#endif
