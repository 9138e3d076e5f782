/* Rows into columns, and columns into rows: what `rows.scan` and `rows.columns` do to many rows of usual form. */
#include "fields.h"
#include "stable_abi.h"

#include <stddef.h>

enum {
    COUNT = 2,   /* bytes of a row's number of fields */
    INTEGER = 8, /* of a reference */
    MOST_COLUMNS = 64,
    MOST_WIDTH = 1 << 20,
};

/* Puts into each list, at place `n`, what of the row is its: the key, each reference, and the rest. 1 where the row is
 * plain, 0 where it is not, -1 with an exception set. */
static int slice_row(PyObject *row, Py_ssize_t key_end, Py_ssize_t references, PyObject *columns, Py_ssize_t n) {
    char *bytes;
    Py_ssize_t size, first = key_end + LENGTH, end = first + references * (LENGTH + INTEGER);
    if (PyBytes_AsStringAndSize(row, &bytes, &size) < 0) return -1;
    const unsigned char *at = (const unsigned char *)bytes;
    if (size < end || length_at(at + key_end) != -1) return 0;
    for (Py_ssize_t from = first; from < end; from += LENGTH + INTEGER)
        if (length_at(at + from) != INTEGER) return 0;
    for (Py_ssize_t column = 0; column < references + 2; column++) {
        Py_ssize_t from = column == 0 ? COUNT : first + (column - 1) * (LENGTH + INTEGER);
        Py_ssize_t until = column == 0 ? key_end : column <= references ? from + LENGTH + INTEGER : size;
        if (column > 0 && column <= references) from += LENGTH;
        PyObject *part = PyBytes_FromStringAndSize(bytes + from, until - from);
        PyObject *list = PyList_GetItem(columns, column);
        if (part == NULL || list == NULL || PyList_SetItem(list, n, part) < 0) return -1;
    }
    return 1;
}

/* Called by ctypes with the interpreter's lock held: list of rows, where their keys end, and how many references follow
 * the verdict -> list of columns: keys, references, tails. None where some row is not plain, as `rows.scan` has it. */
PyObject *slice_rows(PyObject *rows, Py_ssize_t key_end, Py_ssize_t references) {
    Py_ssize_t count = PyList_Size(rows);
    if (count < 0) return NULL;
    int plain = key_end >= COUNT && key_end <= MOST_WIDTH && references >= 0 && references <= MOST_COLUMNS;
    PyObject *columns = PyList_New(plain ? references + 2 : 0);
    for (Py_ssize_t n = 0; columns != NULL && plain && n < references + 2; n++) {
        PyObject *column = PyList_New(count);
        if (column == NULL || PyList_SetItem(columns, n, column) < 0) plain = -1;
    }
    for (Py_ssize_t n = 0; columns != NULL && plain == 1 && n < count; n++) {
        PyObject *row = PyList_GetItem(rows, n);
        plain = row == NULL ? -1 : slice_row(row, key_end, references, columns, n);
    }
    if (columns == NULL || plain == 1) return columns;
    Py_DecRef(columns);
    if (plain < 0) return NULL;
    Py_IncRef(&_Py_NoneStruct);
    return &_Py_NoneStruct;
}

/* A part of a row that is to be put together. */
typedef struct {
    const char *bytes;
    Py_ssize_t size;
} Part;

/* The parts of row `n`, of which the first is in place; their bytes together, -1 with an exception set. */
static Py_ssize_t row_parts(Part *parts, PyObject *columns, Py_ssize_t width, Py_ssize_t n) {
    Py_ssize_t size = parts[0].size;
    for (Py_ssize_t column = 0; column < width; column++) {
        PyObject *list = PyList_GetItem(columns, column);
        PyObject *part = list == NULL ? NULL : PyList_GetItem(list, n);
        char *bytes;
        Part *into = parts + column + 1;
        if (part == NULL || PyBytes_AsStringAndSize(part, &bytes, &into->size) < 0) return -1;
        into->bytes = bytes;
        size += into->size;
    }
    return size;
}

/* The rows from `first` on that fit into `most` bytes together, and one that does not if it is the first; how many, in
 * `taken`. */
static PyObject *chunk_of(PyObject *columns, Py_ssize_t width, Part *parts, Py_ssize_t first, Py_ssize_t count,
                          Py_ssize_t most, Py_ssize_t *taken) {
    PyObject *chunk = NULL;
    char *begin = NULL;
    Py_ssize_t used = 0, room = 0;
    for (*taken = 0; first + *taken < count; ++*taken) {
        Py_ssize_t size = row_parts(parts, columns, width, first + *taken);
        if (size < 0) goto failed;
        if (chunk == NULL) {
            chunk = PyBytes_FromStringAndSize(NULL, size > most ? size : most);
            if (chunk == NULL || PyBytes_AsStringAndSize(chunk, &begin, &room) < 0) goto failed;
        }
        if (size > room - used) break;
        for (Py_ssize_t n = 0; n <= width; used += parts[n++].size)
            __builtin_memcpy(begin + used, parts[n].bytes, (size_t)parts[n].size);
    }
    if (chunk == NULL) return PyBytes_FromStringAndSize("", 0);
    if (used < room) _PyBytes_Resize(&chunk, used);
    return chunk;
failed:
    if (chunk != NULL) Py_DecRef(chunk);
    return NULL;
}

/* Called by ctypes with the interpreter's lock held: what each row begins with, list of columns, the first row, and
 * bytes -> [the rows that fit into these one after the other, and at least one, as bytes; the first row behind them].
 * None of more columns than are usual. */
PyObject *join_rows(PyObject *head, PyObject *columns, Py_ssize_t first, Py_ssize_t most) {
    Part parts[MOST_COLUMNS + 1];
    char *bytes;
    Py_ssize_t width = PyList_Size(columns), taken;
    if (width < 0 || PyBytes_AsStringAndSize(head, &bytes, &parts[0].size) < 0) return NULL;
    parts[0].bytes = bytes;
    if (width == 0 || width > MOST_COLUMNS || first < 0 || most < 0 || most > MOST_WIDTH) {
        Py_IncRef(&_Py_NoneStruct);
        return &_Py_NoneStruct;
    }
    PyObject *ids = PyList_GetItem(columns, 0), *answer = PyList_New(2);
    Py_ssize_t count = ids == NULL ? -1 : PyList_Size(ids);
    PyObject *chunk = answer == NULL || count < 0 ? NULL : chunk_of(columns, width, parts, first, count, most, &taken);
    PyObject *next = chunk == NULL ? NULL : PyLong_FromSsize_t(first + taken);
    if (next != NULL && PyList_SetItem(answer, 0, chunk) == 0 && PyList_SetItem(answer, 1, next) == 0) return answer;
    if (chunk != NULL && next == NULL) Py_DecRef(chunk);
    if (answer != NULL) Py_DecRef(answer);
    return NULL;
}
