/* The ids of many legacy keys at once: HMAC-SHA256 (RFC 2104) of a fixed beginning and a key's text, cut to a UUIDv8. */
#include "sha256.h"
#include "stable_abi.h"

enum {
    PARTS = 4,            /* of a key, at most */
    DIGITS = 20,          /* of a bigint, with its sign */
    MOST_BEGINNING = 1024,
    MOST_TEXT = PARTS * (DIGITS + 1),
    /* What is left of the beginning, a text, the bit behind it, and the length. */
    MOST_BLOCKS = (BLOCK - 1 + MOST_TEXT + 1 + 8 + BLOCK - 1) / BLOCK,
    ID = 16,
    ORDERED = 5,              /* bytes of an id in order */
};

typedef struct {
    Lanes inner[STATE], outer[STATE]; /* both hashes, behind their secrets and the whole blocks of the beginning */
    const unsigned char *rest;        /* of the beginning */
    Py_ssize_t left, before;          /* its bytes, and those that are hashed already */
    long long first;                  /* what ids in order count from, or -1 */
} Begun;

/* A block of LANES messages, word by word as the hash takes it. */
typedef union {
    Lanes words[WORDS];
    uint32_t word[WORDS][LANES];
} Block;

static uint32_t word_at(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_word(unsigned char *to, uint32_t word) {
    for (int n = 0; n < 4; n++) to[n] = (unsigned char)(word >> (24 - 8 * n));
}

/* The same block in every lane. */
static void hash_same(Lanes state[STATE], const unsigned char *block) {
    Block all;
    for (int n = 0; n < WORDS; n++)
        for (int lane = 0; lane < LANES; lane++) all.word[n][lane] = word_at(block + 4 * n);
    sha256_block(state, all.words);
}

static void begin(Lanes state[STATE], const unsigned char *padded) {
    for (int n = 0; n < STATE; n++) state[n] = (Lanes){0} + SHA256_BEGINS[n];
    hash_same(state, padded);
}

/* The number's digits, as Python writes them; how many. */
static int put_number(unsigned char *to, long long number) {
    unsigned char digits[DIGITS];
    unsigned long long left = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    int count = 0, length = 0;
    do digits[count++] = (unsigned char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (number < 0) to[length++] = '-';
    while (count > 0) to[length++] = digits[--count];
    return length;
}

/* A key's text, its parts with commas between them, and its last part; the text's length, or -1 where it is nothing
 * that is written here. */
static int put_key(unsigned char *to, long long *last, PyObject *key, Py_ssize_t parts) {
    if (PyTuple_Size(key) != parts) return -1;
    int length = 0;
    for (Py_ssize_t n = 0; n < parts; n++) {
        PyObject *part = PyTuple_GetItem(key, n);
        if (part == NULL) return -1;
        long long number = PyLong_AsLongLong(part);
        if (number == -1 && PyErr_Occurred() != NULL) return -1;
        if (n > 0) to[length++] = ',';
        length += put_number(to + length, number);
        *last = number;
    }
    return length;
}

/* The end of one lane's message: what is left of the beginning, the text, padding and length in bits; its blocks. */
static int put_message(
    unsigned char message[MOST_BLOCKS * BLOCK], long long *last, const Begun *begun, PyObject *key, Py_ssize_t parts
) {
    __builtin_memcpy(message, begun->rest, (size_t)begun->left);
    int text = put_key(message + begun->left, last, key, parts);
    if (text < 0) return -1;
    int length = (int)begun->left + text, blocks = (length + 1 + 8 + BLOCK - 1) / BLOCK;
    __builtin_memset(message + length, 0, (size_t)(blocks * BLOCK - length));
    message[length] = 0x80;
    put_word(message + blocks * BLOCK - 4, 8 * (uint32_t)(begun->before + length));
    return blocks;
}

/* The outer hash of LANES inner ones, which it takes in place. */
static void hash_outer(Lanes state[STATE], const Begun *begun) {
    Lanes words[WORDS] = {{0}};
    __builtin_memcpy(words, state, sizeof(Lanes) * STATE);
    words[STATE] = words[STATE] + 0x80000000;
    words[WORDS - 1] = words[WORDS - 1] + 8 * (BLOCK + 4 * STATE);
    __builtin_memcpy(state, begun->outer, sizeof begun->outer);
    sha256_block(state, words);
}

/* Ids of `count` keys from number `first` on, into `ids`; false where a key is nothing that is written here. */
static int mint_lanes(
    unsigned char ids[LANES][ID], const Begun *begun, PyObject *keys, Py_ssize_t first, int count, Py_ssize_t parts
) {
    unsigned char messages[LANES][MOST_BLOCKS * BLOCK];
    long long numbers[LANES] = {0};
    int blocks[LANES] = {0}, most = 0;
    for (int lane = 0; lane < count; lane++) {
        PyObject *key = PyList_GetItem(keys, first + lane);
        if (key == NULL) return 0;
        Py_IncRef(key); /* what reads an odd part's number may be Python, which may empty the list */
        blocks[lane] = put_message(messages[lane], &numbers[lane], begun, key, parts);
        Py_DecRef(key);
        if (blocks[lane] < 0) return 0;
        if (blocks[lane] > most) most = blocks[lane];
    }
    union {
        Lanes lanes[STATE];
        uint32_t word[STATE][LANES];
    } state, next;
    __builtin_memcpy(state.lanes, begun->inner, sizeof state);
    for (int n = 0; n < most; n++) {
        Block block = {{{0}}};
        for (int lane = 0; lane < LANES; lane++)
            for (int word = 0; n < blocks[lane] && word < WORDS; word++)
                block.word[word][lane] = word_at(messages[lane] + n * BLOCK + 4 * word);
        next = state;
        sha256_block(next.lanes, block.words);
        for (int lane = 0; lane < LANES; lane++)
            for (int word = 0; n < blocks[lane] && word < STATE; word++) state.word[word][lane] = next.word[word][lane];
    }
    hash_outer(state.lanes, begun);
    for (int lane = 0; lane < count; lane++) {
        for (int word = 0; word < ID / 4; word++) put_word(ids[lane] + 4 * word, state.word[word][lane]);
        ids[lane][6] = (ids[lane][6] & 0x0f) | 0x80;
        ids[lane][8] = (ids[lane][8] & 0x3f) | 0x80;
        if (begun->first < 0 || parts != 1) continue;
        unsigned long long at = (unsigned long long)begun->first + (unsigned long long)numbers[lane];
        for (int n = 0; n < ORDERED; n++) ids[lane][n] = (unsigned char)(at >> 8 * (ORDERED - 1 - n));
    }
    return 1;
}

/* 1, or 0 where it is nothing that is done here, or -1 with an exception set. */
static int prepare(Begun *begun, PyObject *inner, PyObject *outer, PyObject *beginning) {
    char *one, *other, *bytes;
    Py_ssize_t size, another, length;
    if (PyBytes_AsStringAndSize(inner, &one, &size) < 0 || PyBytes_AsStringAndSize(outer, &other, &another) < 0
        || PyBytes_AsStringAndSize(beginning, &bytes, &length) < 0) return -1;
    if (size != BLOCK || another != BLOCK || length > MOST_BEGINNING) return 0;
    begin(begun->inner, (unsigned char *)one);
    begin(begun->outer, (unsigned char *)other);
    Py_ssize_t at = 0;
    for (; length - at >= BLOCK; at += BLOCK) hash_same(begun->inner, (unsigned char *)bytes + at);
    begun->rest = (unsigned char *)bytes + at, begun->left = length - at, begun->before = BLOCK + at;
    return 1;
}

static PyObject *left_to_python(PyObject *unfinished) {
    if (unfinished != NULL) Py_DecRef(unfinished);
    PyErr_Clear();
    Py_IncRef(&_Py_NoneStruct);
    return &_Py_NoneStruct;
}

/* Called by ctypes with the interpreter's lock held: list of keys, each a tuple of as many bigints, and HMAC's two
 * padded secrets and the beginning of each message, all bytes, and what ids in order count from (-1: they have none)
 * -> list[bytes]; None where Python is to do it. */
PyObject *mint_ids(PyObject *keys, PyObject *inner, PyObject *outer, PyObject *beginning, long long first_id) {
    Begun begun;
    begun.first = first_id;
    Py_ssize_t count = PyList_Size(keys);
    int ready = count < 0 ? -1 : prepare(&begun, inner, outer, beginning);
    if (ready < 0) return NULL;
    if (ready == 0) return left_to_python(NULL);
    PyObject *all = PyList_New(count);
    if (all == NULL) return NULL;
    PyObject *first = count > 0 ? PyList_GetItem(keys, 0) : NULL;
    Py_ssize_t parts = first == NULL ? 0 : PyTuple_Size(first);
    if (parts < 0 || parts > PARTS) return left_to_python(all);
    for (Py_ssize_t at = 0; at < count; at += LANES) {
        unsigned char ids[LANES][ID];
        int some = count - at < LANES ? (int)(count - at) : LANES;
        if (!mint_lanes(ids, &begun, keys, at, some, parts)) return left_to_python(all);
        for (int lane = 0; lane < some; lane++) {
            PyObject *id = PyBytes_FromStringAndSize((char *)ids[lane], ID);
            if (id == NULL || PyList_SetItem(all, at + lane, id) < 0) {
                Py_DecRef(all);
                return NULL;
            }
        }
    }
    return all;
}
