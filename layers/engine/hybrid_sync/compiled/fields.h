/* Fields of binary COPY: a length of 4 bytes, and so many bytes; -1 is NULL. */
#pragma once

#include <stdint.h>

enum { LENGTH = 4 };

static inline int32_t length_at(const unsigned char *at) {
    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

static inline unsigned char *put_length(unsigned char *to, uint32_t length) {
    for (int shift = 24; shift >= 0; shift -= 8) *to++ = (unsigned char)(length >> shift);
    return to;
}
