/* The checked columns of many rows at once.  A tail is a row from its first checked column on: complete fields of binary
 * COPY, each a length of 4 bytes (-1 for NULL) and so many bytes. */
#include "fields.h"
#include "plain_json.h"
#include "stable_abi.h"

enum { JSONB_VERSION = 1 };

/* How many of the first `columns` fields are not NULL; -1 unless all of those are plain JSON, and whole. */
static Py_ssize_t count_json(const unsigned char *at, const unsigned char *end, Py_ssize_t columns) {
    Py_ssize_t values = 0;
    for (; columns > 0; columns--) {
        if (end - at < 4) return -1;
        int32_t length = length_at(at);
        at += 4;
        if (length == -1) continue;
        if (length < 0 || length == INT32_MAX || end - at < length || !plain_json(at, (size_t)length)) return -1;
        at += length;
        values++;
    }
    return values;
}

/* The tail with its first fields in jsonb's binary form: a byte for the version, then the text. */
static void write_tail(unsigned char *to, const unsigned char *at, const unsigned char *end, Py_ssize_t columns) {
    for (; columns > 0; columns--) {
        int32_t length = length_at(at);
        at += 4;
        if (length == -1) {
            to = put_length(to, UINT32_MAX);
            continue;
        }
        to = put_length(to, (uint32_t)length + 1);
        *to++ = JSONB_VERSION;
        __builtin_memcpy(to, at, (size_t)length);
        to += length;
        at += length;
    }
    __builtin_memcpy(to, at, (size_t)(end - at));
}

/* A new reference: the tail as the target takes it, None where Python is to look; NULL with an exception set. */
static PyObject *ready_tail(PyObject *tail, Py_ssize_t columns) {
    char *bytes, *copy;
    Py_ssize_t size, copied;
    if (PyBytes_AsStringAndSize(tail, &bytes, &size) < 0) return NULL;
    const unsigned char *at = (const unsigned char *)bytes;
    Py_ssize_t values = count_json(at, at + size, columns);
    if (values < 0) {
        Py_IncRef(&_Py_NoneStruct);
        return &_Py_NoneStruct;
    }
    PyObject *ready = PyBytes_FromStringAndSize(NULL, size + values);
    if (ready == NULL || PyBytes_AsStringAndSize(ready, &copy, &copied) < 0) return NULL;
    write_tail((unsigned char *)copy, at, at + size, columns);
    return ready;
}

/* Called by ctypes with the interpreter's lock held: list[bytes], number of checked columns -> list[bytes | None]. */
PyObject *json_tails(PyObject *tails, Py_ssize_t columns) {
    Py_ssize_t count = PyList_Size(tails);
    if (count < 0) return NULL;
    PyObject *all = PyList_New(count);
    if (all == NULL) return NULL;
    for (Py_ssize_t n = 0; n < count; n++) {
        PyObject *tail = PyList_GetItem(tails, n);
        PyObject *ready = tail == NULL ? NULL : ready_tail(tail, columns);
        if (ready == NULL || PyList_SetItem(all, n, ready) < 0) {
            Py_DecRef(all);
            return NULL;
        }
    }
    return all;
}
