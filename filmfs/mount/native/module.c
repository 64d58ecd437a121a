/* The module's face to Python. */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include "hooks.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static PyObject *want(PyObject *self, PyObject *args) {
    unsigned long long mask;
    int through;
    if (!PyArg_ParseTuple(args, "pK:want", &through, &mask))
        return NULL;
    session_want(through, mask);
    Py_RETURN_NONE;
}

static PyObject *is_negotiated(PyObject *self, PyObject *unused) { return PyBool_FromLong(session_passes()); }

static PyObject *is_attached(PyObject *self, PyObject *unused) { return PyBool_FromLong(session_is_there()); }

static PyObject *demotes(PyObject *self, PyObject *unused) { return PyBool_FromLong(session_demotes()); }

static PyObject *take_demotion(PyObject *self, PyObject *argument) {
    uint64_t handle = PyLong_AsUnsignedLongLong(argument);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(writes_take_demotion(handle));
}

static PyObject *open_backing(PyObject *self, PyObject *argument) {
    int fd = PyObject_AsFileDescriptor(argument);
    if (fd < 0)
        return NULL;
    int id = session_open_backing(fd);
    return id < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(id);
}

static PyObject *close_backing(PyObject *self, PyObject *argument) {
    uint32_t id = (uint32_t)PyLong_AsUnsignedLong(argument);
    if (PyErr_Occurred())
        return NULL;
    if (session_close_backing(id) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *pass_through(PyObject *self, PyObject *args) {
    unsigned long long handle;
    int backing;
    if (!PyArg_ParseTuple(args, "Ki:pass_through", &handle, &backing))
        return NULL;
    if (session_name(handle, backing) < 0)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static bool to_source(PyObject *item, struct source *source) {
    if (PyBytes_Check(item)) {
        size_t length = (size_t)PyBytes_GET_SIZE(item);
        source->fd = -1;
        source->bytes = malloc(length ? length : 1);
        if (!source->bytes)
            return PyErr_NoMemory(), false;
        memcpy(source->bytes, PyBytes_AS_STRING(item), length);
        return true;
    }
    int fd = PyObject_AsFileDescriptor(item);
    if (fd < 0)
        return source->fd = -1, false;
    source->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return source->fd >= 0 || (PyErr_SetFromErrno(PyExc_OSError), false);
}

static PyObject *serve(PyObject *self, PyObject *args) {
    unsigned long long node, size;
    PyObject *source_list, *run_list;
    if (!PyArg_ParseTuple(args, "KKO!O!:serve", &node, &size, &PyList_Type, &source_list, &PyList_Type, &run_list))
        return NULL;
    size_t source_count = (size_t)PyList_GET_SIZE(source_list), run_count = (size_t)PyList_GET_SIZE(run_list), made = 0;
    struct source *sources = calloc(source_count + 1, sizeof *sources);
    struct run *runs = calloc(run_count + 1, sizeof *runs);
    bool good = sources && runs;
    for (; good && made < source_count; made += good)
        good = to_source(PyList_GET_ITEM(source_list, (Py_ssize_t)made), &sources[made]);
    for (size_t i = 0; good && i < run_count; i++) {
        unsigned long long offset, length, from, source;
        good = PyArg_ParseTuple(PyList_GET_ITEM(run_list, (Py_ssize_t)i), "KKKK", &offset, &length, &source, &from) &&
               source < source_count;
        runs[i] = (struct run){offset, length, from, (size_t)source};
    }
    if (good && reads_serve(node, size, runs, run_count, sources, source_count) == 0)
        Py_RETURN_NONE;
    for (size_t i = 0; sources && i < made; i++) {
        if (sources[i].fd >= 0)
            close(sources[i].fd);
        free(sources[i].bytes);
    }
    free(sources);
    free(runs);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

static PyObject *unserve(PyObject *self, PyObject *argument) {
    uint64_t node = PyLong_AsUnsignedLongLong(argument);
    if (PyErr_Occurred())
        return NULL;
    reads_unserve(node);
    Py_RETURN_NONE;
}

static PyObject *take_failures(PyObject *self, PyObject *unused) {
    PyObject *list = PyList_New(0);
    uint64_t node;
    int error;
    while (list && reads_failure(&node, &error)) {
        PyObject *item = Py_BuildValue("Ki", (unsigned long long)node, error);
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *counts(PyObject *self, PyObject *unused) {
    return Py_BuildValue("{sKsKsKsK}", "reads", (unsigned long long)session_requests(FUSE_READ), "reads_without_python",
                         (unsigned long long)reads_served(), "writes", (unsigned long long)session_requests(FUSE_WRITE),
                         "without_pyfuse3", (unsigned long long)quick_answers());
}

static PyObject *wait_readable(PyObject *self, PyObject *args) {
    int fd;
    unsigned most_us;
    bool readable;
    if (!PyArg_ParseTuple(args, "iI:wait_readable", &fd, &most_us))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    readable = waits_until_readable(fd, most_us);
    Py_END_ALLOW_THREADS;
    return PyBool_FromLong(readable);
}

PyObject *quick_answer_with(PyObject *self, PyObject *args);

static PyObject *stop(PyObject *self, PyObject *unused) {
    Py_BEGIN_ALLOW_THREADS;
    wire_set_open(false);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"want", want, METH_VARARGS, "want(passthrough, turn_mask): what the next session shall ask the kernel for."},
    {"is_attached", is_attached, METH_NOARGS, "Whether a session goes through these hooks."},
    {"is_negotiated", is_negotiated, METH_NOARGS, "Whether the kernel agreed to passthrough."},
    {"demotes", demotes, METH_NOARGS, "Whether set-user-ID and its kind are ours to take from what is written."},
    {"take_demotion", take_demotion, METH_O, "Whether somebody without CAP_FSETID wrote by a handle since the last call."},
    {"open_backing", open_backing, METH_O, "Registers an open file; its backing id. Raises OSError."},
    {"close_backing", close_backing, METH_O, "Lets go of a backing id. Raises OSError."},
    {"pass_through", pass_through, METH_VARARGS, "pass_through(handle, id): the reply that opens it says passthrough."},
    {"serve", serve, METH_VARARGS, "serve(node, size, sources, runs): reads of the node are answered without Python."},
    {"unserve", unserve, METH_O, "Ends `serve` of a node."},
    {"take_failures", take_failures, METH_NOARGS, "[(node, errno)] of reads that failed since the last call."},
    {"counts", counts, METH_NOARGS, "How many requests came."},
    {"answer_with", quick_answer_with, METH_VARARGS,
     "answer_with(answerer, eager, st_blksize): some requests are answered by one call of it. None: not any more."},
    {"wait_readable", wait_readable, METH_VARARGS, "wait_readable(fd, us): whether it can be read within so long."},
    {"stop", stop, METH_NOARGS, "Sends nothing more; call it before the session's descriptor is closed."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_hooks", "Between libfuse and /dev/fuse.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__hooks(void) { return PyModule_Create(&definition); }
