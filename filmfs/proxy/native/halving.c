/* A plane of a picture at a half or a quarter of its size: each point is the mean of a block of points. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FACTOR_MAX 4 /* of points of 12 bits so many by so many have a sum of 16 bits */
#define BITS_MAX 12
#define SIDE_MAX (1 << 20)

/* The same code for newer processors too; which is chosen when it is loaded. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx2", "default"), optimize("O3")))
#else
#define FOR_EACH_PROCESSOR
#endif

typedef struct {
    const uint8_t *bytes;
    Py_ssize_t stride;
    bool is_wide; /* two bytes a point */
} Source;

typedef struct {
    uint8_t *bytes;
    Py_ssize_t stride, width, height;
    bool is_wide;
} Target;

/* Where points lie: between the columns that they are made of; of chroma in the left one of two columns of luma, before
   and after, or only after, where there were as many of chroma. */
typedef enum { BETWEEN, LEFT, LEFT_AFTER } Place;

FOR_EACH_PROCESSOR
static void add_row(uint16_t *restrict sums, const void *restrict row, Py_ssize_t count, bool is_wide, bool is_first) {
    const uint8_t *narrow = row;
    const uint16_t *wide = row;
    if (is_wide && is_first)
        memcpy(sums, wide, (size_t)count * 2);
    else if (is_wide)
        for (Py_ssize_t x = 0; x < count; x++)
            sums[x] = (uint16_t)(sums[x] + wide[x]);
    else if (is_first)
        for (Py_ssize_t x = 0; x < count; x++)
            sums[x] = narrow[x];
    else
        for (Py_ssize_t x = 0; x < count; x++)
            sums[x] = (uint16_t)(sums[x] + narrow[x]);
}

FOR_EACH_PROCESSOR
static void add_pairs(uint16_t *restrict to, const uint16_t *restrict from, Py_ssize_t count) {
    for (Py_ssize_t x = 0; x < count; x++) {
        uint32_t pair;
        memcpy(&pair, from + 2 * x, sizeof pair);
        to[x] = (uint16_t)((pair & 0xffff) + (pair >> 16));
    }
}

/* Eight times the mean of two points' width, where a point lies above the left one of two of twice the width: a quarter
   of the one before, the left one, three quarters of the other. */
FOR_EACH_PROCESSOR
static void add_left(uint16_t *restrict to, const uint16_t *restrict from, Py_ssize_t count) {
    to[0] = (uint16_t)((8 * (4 * from[0] + 3 * from[1]) + 3) / 7); /* there is none before */
    for (Py_ssize_t x = 1; x < count; x++) {
        uint32_t before, pair;
        memcpy(&before, from + 2 * x - 1, sizeof before);
        memcpy(&pair, from + 2 * x, sizeof pair);
        to[x] = (uint16_t)((before & 0xffff) + 4 * (pair & 0xffff) + 3 * (pair >> 16));
    }
}

/* Four times the mean of two points' width about the left one of two, where there are as many points as of luma. */
FOR_EACH_PROCESSOR
static void add_about(uint16_t *restrict to, const uint16_t *restrict from, Py_ssize_t count) {
    to[0] = (uint16_t)((4 * (2 * from[0] + from[1]) + 1) / 3); /* there is none before */
    for (Py_ssize_t x = 1; x < count; x++) {
        uint32_t before, pair;
        memcpy(&before, from + 2 * x - 1, sizeof before);
        memcpy(&pair, from + 2 * x, sizeof pair);
        to[x] = (uint16_t)((before & 0xffff) + 2 * (pair & 0xffff) + (pair >> 16));
    }
}

FOR_EACH_PROCESSOR
static void put_row(void *restrict row, const uint16_t *restrict sums, Py_ssize_t count, bool is_wide, int shift, int most) {
    uint8_t *narrow = row;
    uint16_t *wide = row;
    int half = shift ? 1 << (shift - 1) : 0;
    if (is_wide)
        for (Py_ssize_t x = 0; x < count; x++) {
            int mean = (sums[x] + half) >> shift;
            wide[x] = (uint16_t)(mean < most ? mean : most);
        }
    else
        for (Py_ssize_t x = 0; x < count; x++) {
            int mean = (sums[x] + half) >> shift;
            narrow[x] = (uint8_t)(mean < most ? mean : most);
        }
}

/* Means of two by two bytes in one go. */
FOR_EACH_PROCESSOR
static void halve_row(uint8_t *restrict row, const uint8_t *restrict upper, const uint8_t *restrict lower, Py_ssize_t count) {
    for (Py_ssize_t x = 0; x < count; x++) {
        uint16_t above, below;
        memcpy(&above, upper + 2 * x, sizeof above);
        memcpy(&below, lower + 2 * x, sizeof below);
        uint16_t sum = (uint16_t)((above & 0xff) + (above >> 8) + (below & 0xff) + (below >> 8));
        row[x] = (uint8_t)((uint16_t)(sum + 2) >> 2);
    }
}

#define CACHE_LINE 64

/* Has rows fetched that are needed next: pictures are larger than caches. */
static void fetch(Source source, Py_ssize_t first, int count, Py_ssize_t width) {
    for (Py_ssize_t y = first; y < first + count; y++)
        for (Py_ssize_t at = 0; at < width; at += CACHE_LINE)
            __builtin_prefetch(source.bytes + y * source.stride + at);
}

/* `sums` and `spare` have room for a row of the source, and `sums` for a point before it. */
static void shrink(Source source, Target target, int across, int down, Place place, int shift, int most, uint16_t *sums,
                   uint16_t *spare) {
    bool is_quarter = !source.is_wide && across == 2 && down == 2 && place == BETWEEN;
    for (Py_ssize_t y = 0; y < target.height; y++) {
        if (y + 1 < target.height)
            fetch(source, (y + 1) * down, down, target.width * across * (source.is_wide ? 2 : 1));
        if (is_quarter) {
            const uint8_t *upper = source.bytes + 2 * y * source.stride;
            halve_row(target.bytes + y * target.stride, upper, upper + source.stride, target.width);
            continue;
        }
        for (int line = 0; line < down; line++)
            add_row(sums, source.bytes + (y * down + line) * source.stride, target.width * across, source.is_wide, !line);
        uint16_t *have = sums, *next = spare;
        int left = across;
        if (place != BETWEEN && across == 2) {
            (place == LEFT ? add_left : add_about)(spare, sums, target.width);
            have = spare;
            left = 1;
        } else if (place != BETWEEN) { /* four columns about the second of them, which begin with the one before */
            *--have = sums[0];
        }
        for (; left > 1; left /= 2) {
            add_pairs(next, have, target.width * left / 2);
            uint16_t *swapped = have;
            have = next, next = swapped;
        }
        put_row(target.bytes + y * target.stride, have, target.width, target.is_wide, shift, most);
    }
}

static bool is_factor(int factor) { return factor == 1 || factor == 2 || factor == FACTOR_MAX; }

/* Whether rows of so many points, each so many bytes from the one before, are within a buffer. */
static bool fits(Py_buffer *buffer, Py_ssize_t stride, Py_ssize_t width, Py_ssize_t height, bool is_wide) {
    if (width <= 0 || height <= 0 || width >= SIDE_MAX || height >= SIDE_MAX)
        return false;
    Py_ssize_t row = is_wide ? 2 * width : width;
    return row <= stride && (!is_wide || stride % 2 == 0) && stride <= buffer->len && (height - 1) <= (buffer->len - row) / stride;
}

static PyObject *shrink_plane(PyObject *self, PyObject *args) {
    Py_buffer from, to;
    Py_ssize_t from_stride, to_stride, width, height;
    int from_bits, to_bits, across, down, place;
    if (!PyArg_ParseTuple(args, "y*niw*ninniii:shrink_plane", &from, &from_stride, &from_bits, &to, &to_stride, &to_bits,
                          &width, &height, &across, &down, &place))
        return NULL;
    Source source = {from.buf, from_stride, from_bits > 8};
    Target target = {to.buf, to_stride, width, height, to_bits > 8};
    uint16_t *sums = NULL;
    bool is_right = is_factor(across) && is_factor(down) && from_bits >= 8 && from_bits <= BITS_MAX && to_bits >= 8 &&
                    to_bits <= from_bits && fits(&to, to_stride, width, height, target.is_wide) &&
                    fits(&from, from_stride, width * across, height * down, source.is_wide) &&
                    (place == BETWEEN || (place == LEFT && across == 2 && (down <= 2 || from_bits < BITS_MAX)) ||
                     (place == LEFT_AFTER && across > 1));
    if (is_right) {
        int bits = place == BETWEEN || across == 4 ? across / 2 : place == LEFT ? 3 : 2; /* a factor of 1, 2, 4 is 0, 1, 2 bits */
        int shift = from_bits - to_bits + bits + down / 2;
        size_t row = (size_t)(width * across);
        sums = malloc((1 + 2 * row) * sizeof *sums);
        if (sums) {
            Py_BEGIN_ALLOW_THREADS
            shrink(source, target, across, down, place, shift, (1 << to_bits) - 1, sums + 1, sums + 1 + row);
            Py_END_ALLOW_THREADS
            free(sums);
        }
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    if (!is_right) {
        PyErr_SetString(PyExc_ValueError, "the planes are not as large as it is said, or not to be shrunk so");
        return NULL;
    }
    if (!sums)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"shrink_plane", shrink_plane, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_halving", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__halving(void) { return PyModule_Create(&module); }
