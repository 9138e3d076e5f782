/* The ids of many legacy integers, out of the id map's pages. */
#include "stable_abi.h"

#include <stdint.h>

enum { INTEGER = 8, ID = 16, MOST_PAGE = 1 << 16 };

static const unsigned char NONE[ID];

/* Where the id of an integer of 8 bytes stands; NULL where none is known. */
static const unsigned char *id_of(
    const unsigned char *field, PyObject *pages, int64_t count, int64_t first, int64_t size
) {
    uint64_t bits = 0;
    for (int n = 0; n < INTEGER; n++) bits = bits << 8 | field[n];
    int64_t number = (int64_t)bits, place = number % size, page = number / size;
    if (place < 0) place += size, page--;
    if (page < first || page >= first + count) return NULL;
    PyObject *held = PyList_GetItem(pages, (Py_ssize_t)(page - first));
    char *ids;
    Py_ssize_t length;
    if (held == NULL || held == &_Py_NoneStruct || PyBytes_AsStringAndSize(held, &ids, &length) < 0) return NULL;
    const unsigned char *id = (const unsigned char *)ids + place * ID;
    return length == size * ID && __builtin_memcmp(id, NONE, ID) != 0 ? id : NULL;
}

/* Called by ctypes with the interpreter's lock held: list of integers as 8 bytes each, list of pages (bytes or None)
 * that follow each other, the number of the first of them, and how many ids a page has -> list of the ids, empty where
 * none is known. None where Python is to look. */
PyObject *ids_of(PyObject *fields, PyObject *pages, int64_t first, int64_t size) {
    Py_ssize_t count = PyList_Size(fields), held = PyList_Size(pages);
    if (count < 0 || held < 0) return NULL;
    PyObject *all = PyList_New(count);
    int usual = size > 0 && size <= MOST_PAGE && first >= INT64_MIN / 2 && first <= INT64_MAX / 2;
    for (Py_ssize_t n = 0; all != NULL && usual && n < count; n++) {
        PyObject *field = PyList_GetItem(fields, n);
        char *bytes;
        Py_ssize_t length;
        if (field == NULL || PyBytes_AsStringAndSize(field, &bytes, &length) < 0) goto failed;
        if (length != INTEGER) {
            usual = 0;
            break;
        }
        const unsigned char *id = id_of((unsigned char *)bytes, pages, held, first, size);
        if (id == NULL && PyErr_Occurred() != NULL) goto failed;
        PyObject *found = PyBytes_FromStringAndSize((const char *)id, id == NULL ? 0 : ID);
        if (found == NULL || PyList_SetItem(all, n, found) < 0) goto failed;
    }
    if (all == NULL || usual) return all;
    Py_DecRef(all);
    Py_IncRef(&_Py_NoneStruct);
    return &_Py_NoneStruct;
failed:
    Py_DecRef(all);
    return NULL;
}
