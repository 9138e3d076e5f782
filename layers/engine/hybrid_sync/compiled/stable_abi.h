/* What this library uses of CPython's stable ABI (PEP 384), declared by hand: one build fits every Python from 3.11 on,
 * and needs neither Python's headers nor a C library to link with.  The interpreter that loads it has the symbols. */
#pragma once

#include <stddef.h>

typedef ptrdiff_t Py_ssize_t;
typedef struct _object PyObject;

extern PyObject _Py_NoneStruct;

extern void Py_IncRef(PyObject *);
extern void Py_DecRef(PyObject *);
extern PyObject *PyList_New(Py_ssize_t);
extern Py_ssize_t PyList_Size(PyObject *);
extern PyObject *PyList_GetItem(PyObject *, Py_ssize_t);             /* borrowed */
extern int PyList_SetItem(PyObject *, Py_ssize_t, PyObject *);       /* takes the reference over */
extern Py_ssize_t PyTuple_Size(PyObject *);
extern PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);            /* borrowed */
extern long long PyLong_AsLongLong(PyObject *);
extern PyObject *PyErr_Occurred(void);                               /* borrowed */
extern void PyErr_Clear(void);
extern PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
extern int _PyBytes_Resize(PyObject **, Py_ssize_t);                 /* NULL where it fails */
extern PyObject *PyLong_FromSsize_t(Py_ssize_t);
extern int PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
