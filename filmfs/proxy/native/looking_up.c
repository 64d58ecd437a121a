/* A plane of a picture with each point replaced by what a table has for it. Points are 16 bits, in the machine's order. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#define SIDE_MAX (1 << 20)

typedef struct {
    uint8_t *bytes;
    Py_ssize_t stride;
} Plane;

__attribute__((optimize("O3")))
static void look_up(Plane from, Plane to, Py_ssize_t width, Py_ssize_t height, const uint16_t *table, uint32_t most) {
    for (Py_ssize_t y = 0; y < height; y++) {
        const uint16_t *points = (const uint16_t *)(from.bytes + y * from.stride);
        uint16_t *made = (uint16_t *)(to.bytes + y * to.stride);
        if (most == UINT16_MAX)
            for (Py_ssize_t x = 0; x < width; x++)
                made[x] = table[points[x]];
        else
            for (Py_ssize_t x = 0; x < width; x++)
                made[x] = table[points[x] < most ? points[x] : most];
    }
}

/* Whether rows of so many points, each so many bytes from the one before, are within a buffer. */
static bool fits(Py_buffer *buffer, Py_ssize_t stride, Py_ssize_t width, Py_ssize_t height) {
    if (width <= 0 || height <= 0 || width >= SIDE_MAX || height >= SIDE_MAX)
        return false;
    return 2 * width <= stride && stride % 2 == 0 && stride <= buffer->len &&
           (height - 1) <= (buffer->len - 2 * width) / stride;
}

static PyObject *look_up_plane(PyObject *self, PyObject *args) {
    Py_buffer from, to, table;
    Py_ssize_t from_stride, to_stride, width, height;
    if (!PyArg_ParseTuple(args, "y*nw*nnny*:look_up_plane", &from, &from_stride, &to, &to_stride, &width, &height, &table))
        return NULL;
    Py_ssize_t count = table.len / 2;
    bool is_right = table.len % 2 == 0 && count > 0 && count <= UINT16_MAX + 1 &&
                    fits(&from, from_stride, width, height) && fits(&to, to_stride, width, height);
    if (is_right) {
        Plane source = {from.buf, from_stride}, target = {to.buf, to_stride};
        Py_BEGIN_ALLOW_THREADS
        look_up(source, target, width, height, table.buf, (uint32_t)count - 1);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    PyBuffer_Release(&table);
    if (is_right)
        Py_RETURN_NONE;
    PyErr_SetString(PyExc_ValueError, "the planes are not as large as it is said, or the table is none of 16 bits");
    return NULL;
}

static PyMethodDef methods[] = {{"look_up_plane", look_up_plane, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_looking_up", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__looking_up(void) { return PyModule_Create(&module); }
