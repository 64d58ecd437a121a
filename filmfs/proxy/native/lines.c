/* Lines of OpenEXR files after they were inflated: bytes from their differences, and halves from their bytes. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SIDE_MAX (1 << 20)
#define EACH UINT64_C(0x0001000100010001)
#define LOW UINT64_C(0x00FF00FF00FF00FF)
#define ODD_TOPS UINT64_C(0x8000800080008000)

/* Each byte is kept as its difference to the one before, plus 128. Eight at once: sums of pairs, four of them in lanes
   of 16 bits, of which one multiplication makes running sums; 128 as often as there are bytes before is 0 or 128. */
static void add_up(uint8_t *bytes, Py_ssize_t count) {
    uint64_t before = 0;
    Py_ssize_t at = 0;
    for (; at + 8 <= count; at += 8) {
        uint64_t eight;
        memcpy(&eight, bytes + at, 8);
        uint64_t odd = (eight >> 8) & LOW;
        uint64_t sums = ((eight & LOW) + odd) * EACH;
        uint64_t ends = sums + before * EACH;
        eight = (((ends - odd) & LOW) | (ends & LOW) << 8) ^ ODD_TOPS;
        memcpy(bytes + at, &eight, 8);
        before = (before + (sums >> 48)) & 0xFF;
    }
    for (; at < count; at++) {
        before += bytes[at];
        bytes[at] = (uint8_t)(before ^ (at & 1) << 7);
    }
}

static PyObject *add_up_bytes(PyObject *self, PyObject *args) {
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "w*:add_up", &data))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    add_up(data.buf, data.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    Py_RETURN_NONE;
}

typedef struct {
    Py_ssize_t row_bytes, offset, stride, width, rows;
    bool is_split; /* the lower bytes of all numbers of the lines come first, then the upper ones */
} Shape;

__attribute__((optimize("O3")))
static void take_halves(const uint8_t *from, uint8_t *to, Shape shape) {
    Py_ssize_t half = shape.rows * shape.row_bytes / 2;
    for (Py_ssize_t y = 0; y < shape.rows; y++) {
        Py_ssize_t begins = y * shape.row_bytes + shape.offset;
        uint8_t *made = to + y * shape.stride;
        if (!shape.is_split) {
            memcpy(made, from + begins, 2 * shape.width);
            continue;
        }
        const uint8_t *lower = from + begins / 2, *upper = lower + half;
        for (Py_ssize_t x = 0; x < shape.width; x++) {
            made[2 * x] = lower[x];
            made[2 * x + 1] = upper[x];
        }
    }
}

static bool fits(const Py_buffer *from, const Py_buffer *to, Py_ssize_t first, Shape shape) {
    if (shape.width <= 0 || shape.rows <= 0 || first < 0 || shape.offset < 0 || shape.row_bytes <= 0)
        return false;
    if (shape.width >= SIDE_MAX || shape.rows >= SIDE_MAX || first >= SIDE_MAX || (shape.row_bytes | shape.offset) & 1)
        return false;
    return shape.row_bytes <= from->len / shape.rows && shape.offset <= shape.row_bytes - 2 * shape.width &&
           2 * shape.width <= shape.stride && shape.stride <= to->len &&
           first + shape.rows - 1 <= (to->len - 2 * shape.width) / shape.stride;
}

static PyObject *take_lines(PyObject *self, PyObject *args) {
    Py_buffer from, to;
    Py_ssize_t first;
    Shape shape;
    int is_split;
    if (!PyArg_ParseTuple(args, "y*nnpw*nnnn:take_lines", &from, &shape.row_bytes, &shape.offset, &is_split, &to,
                          &shape.stride, &shape.width, &first, &shape.rows))
        return NULL;
    shape.is_split = is_split;
    bool is_right = fits(&from, &to, first, shape);
    if (is_right) {
        Py_BEGIN_ALLOW_THREADS
        take_halves(from.buf, (uint8_t *)to.buf + first * shape.stride, shape);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    if (is_right)
        Py_RETURN_NONE;
    PyErr_SetString(PyExc_ValueError, "the lines are not as many or as long as it is said");
    return NULL;
}

static PyMethodDef methods[] = {
    {"add_up", add_up_bytes, METH_VARARGS, NULL},
    {"take_lines", take_lines, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_lines", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lines(void) { return PyModule_Create(&module); }
