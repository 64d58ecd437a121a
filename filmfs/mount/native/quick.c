/* Answers LOOKUP, GETATTR, READDIRPLUS and RELEASE with one call of Python, without what pyfuse3 and trio do around it.
 *
 * What Python gives for a request is described at `Answerer` in quick.py. Whatever goes wrong here leaves the request to
 * pyfuse3, which meets the same error and tells it. All of this belongs to the thread that reads requests. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "hooks.h"

#include <linux/fuse.h>
#include <string.h>

#define BILLION 1000000000

enum { NODE, MODE, NLINK, UID, GID, RDEV, SIZE, BLOCKS, ATIME, MTIME, CTIME, FIELDS }; /* of vfs.nodes.Attributes */

static PyObject *answerer, *eager;
static unsigned block_size;
static uint64_t answers;

static bool is_tuple(PyObject *object, Py_ssize_t size) {
    return object && PyTuple_Check(object) && PyTuple_GET_SIZE(object) >= size;
}

static uint64_t number(PyObject *tuple, Py_ssize_t place) {
    return PyLong_AsUnsignedLongLongMask(PyTuple_GET_ITEM(tuple, place));
}

/* Nanoseconds since 1970, from 1677 to 2554. */
static void split_time(PyObject *time, uint64_t *seconds, uint32_t *nanoseconds) {
    int overflow;
    long long all = PyLong_AsLongLongAndOverflow(time, &overflow);
    if (overflow > 0) {
        uint64_t late = PyLong_AsUnsignedLongLongMask(time);
        *seconds = late / BILLION, *nanoseconds = (uint32_t)(late % BILLION);
        return;
    }
    long long whole = all / BILLION, rest = all % BILLION;
    if (rest < 0)
        rest += BILLION, whole--;
    *seconds = (uint64_t)whole, *nanoseconds = (uint32_t)rest;
}

static bool put_attributes(PyObject *from, struct fuse_attr *to) {
    if (!is_tuple(from, FIELDS))
        return false;
    to->ino = number(from, NODE);
    to->size = number(from, SIZE);
    to->blocks = number(from, BLOCKS);
    split_time(PyTuple_GET_ITEM(from, ATIME), &to->atime, &to->atimensec);
    split_time(PyTuple_GET_ITEM(from, MTIME), &to->mtime, &to->mtimensec);
    split_time(PyTuple_GET_ITEM(from, CTIME), &to->ctime, &to->ctimensec);
    to->mode = (uint32_t)number(from, MODE);
    to->nlink = (uint32_t)number(from, NLINK);
    to->uid = (uint32_t)number(from, UID);
    to->gid = (uint32_t)number(from, GID);
    to->rdev = (uint32_t)number(from, RDEV);
    to->blksize = block_size;
    return !PyErr_Occurred();
}

static bool put_attr(PyObject *told, struct fuse_attr_out *to) {
    memset(to, 0, sizeof *to);
    if (!is_tuple(told, 3) || !put_attributes(PyTuple_GET_ITEM(told, 0), &to->attr))
        return false;
    to->attr_valid = number(told, 2);
    return true;
}

static bool put_entry(PyObject *told, struct fuse_entry_out *to) {
    memset(to, 0, sizeof *to);
    if (!is_tuple(told, 3))
        return false;
    if (PyTuple_GET_ITEM(told, 0) != Py_None && !put_attributes(PyTuple_GET_ITEM(told, 0), &to->attr))
        return false;
    to->nodeid = to->attr.ino;
    to->entry_valid = number(told, 1);
    to->attr_valid = number(told, 2);
    return !PyErr_Occurred();
}

/* One name of a listing; what it takes of the room, more than there is if it does not fit, 0 if it is none. */
static size_t put_name(PyObject *listed, struct fuse_direntplus *to, size_t room) {
    if (!is_tuple(listed, 3) || !PyBytes_Check(PyTuple_GET_ITEM(listed, 0)))
        return 0;
    PyObject *name = PyTuple_GET_ITEM(listed, 0);
    size_t length = (size_t)PyBytes_GET_SIZE(name), end = FUSE_NAME_OFFSET_DIRENTPLUS + length;
    size_t size = FUSE_DIRENT_ALIGN(end);
    if (size > room)
        return size;
    if (!put_entry(PyTuple_GET_ITEM(listed, 1), &to->entry_out))
        return 0;
    to->dirent = (struct fuse_dirent){to->entry_out.attr.ino, number(listed, 2), (uint32_t)length,
                                      (to->entry_out.attr.mode & 0170000) >> 12};
    memcpy(to->dirent.name, PyBytes_AS_STRING(name), length);
    memset((char *)to + end, 0, size - end);
    return PyErr_Occurred() ? 0 : size;
}

static ssize_t put_listing(PyObject *listing, char *to, size_t room) {
    size_t used = 0;
    PyObject *names = PyObject_GetIter(listing), *listed = NULL;
    while (names && (listed = PyIter_Next(names))) {
        size_t size = put_name(listed, (struct fuse_direntplus *)(to + used), room - used);
        Py_DECREF(listed);
        if (!size || size > room - used) {
            Py_DECREF(names);
            return size ? (ssize_t)used : QUICK_NOT;
        }
        used += size;
    }
    Py_XDECREF(names);
    return PyErr_Occurred() ? QUICK_NOT : (ssize_t)used;
}

static ssize_t put(uint32_t opcode, PyObject *answer, char *to, size_t room) {
    switch (opcode) {
    case FUSE_LOOKUP:
        return put_entry(answer, (struct fuse_entry_out *)to) ? (ssize_t)sizeof(struct fuse_entry_out) : QUICK_NOT;
    case FUSE_GETATTR:
        return put_attr(answer, (struct fuse_attr_out *)to) ? (ssize_t)sizeof(struct fuse_attr_out) : QUICK_NOT;
    case FUSE_READDIRPLUS:
        return put_listing(answer, to, room);
    default:
        return 0;
    }
}

static PyObject *ask(const struct fuse_in_header *in) {
    const char *body = (const char *)(in + 1);
    if (in->opcode == FUSE_LOOKUP)
        return PyObject_CallFunction(answerer, "IKy", in->opcode, (unsigned long long)in->nodeid, body);
    if (in->opcode == FUSE_GETATTR)
        return PyObject_CallFunction(answerer, "IK", in->opcode, (unsigned long long)in->nodeid);
    if (in->opcode == FUSE_RELEASE)
        return PyObject_CallFunction(answerer, "IK", in->opcode,
                                     (unsigned long long)((const struct fuse_release_in *)body)->fh);
    const struct fuse_read_in *read = (const struct fuse_read_in *)body;
    return PyObject_CallFunction(answerer, "IKK", in->opcode, (unsigned long long)read->fh,
                                 (unsigned long long)read->offset);
}

ssize_t quick_answer(const struct fuse_in_header *in, char *to, size_t room, int *error) {
    if (!answerer)
        return QUICK_NOT;
    if (in->opcode == FUSE_READDIRPLUS) {
        uint32_t wanted = ((const struct fuse_read_in *)(in + 1))->size;
        room = wanted < room ? wanted : room;
    }
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *answer = ask(in);
    ssize_t length = QUICK_NOT;
    if (answer && PyLong_Check(answer))
        *error = (int)PyLong_AsLong(answer), length = 0;
    else if (answer && answer != Py_None)
        length = put(in->opcode, answer, to, room);
    Py_XDECREF(answer);
    PyErr_Clear();
    PyGILState_Release(state);
    answers += length != QUICK_NOT;
    return length;
}

uint64_t quick_answers(void) { return answers; }

bool quick_more(int fd) {
    if (!eager)
        return waits_awake(fd, false);
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *waiting = PyObject_GetAttrString(eager, "waiting");
    bool awake = waiting && PyObject_IsTrue(waiting) == 0, more;
    Py_XDECREF(waiting);
    PyErr_Clear();
    Py_BEGIN_ALLOW_THREADS;
    more = waits_awake(fd, awake);
    Py_END_ALLOW_THREADS;
    PyGILState_Release(state);
    return more;
}

PyObject *quick_answer_with(PyObject *self, PyObject *args) {
    PyObject *new_answerer, *new_eager;
    if (!PyArg_ParseTuple(args, "OOI:answer_with", &new_answerer, &new_eager, &block_size))
        return NULL;
    Py_XSETREF(answerer, new_answerer == Py_None ? NULL : Py_NewRef(new_answerer));
    Py_XSETREF(eager, new_answerer == Py_None ? NULL : Py_NewRef(new_eager));
    Py_RETURN_NONE;
}
