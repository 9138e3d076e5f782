/* SHA-256 (FIPS 180-4) of as many messages at once as a processor's vectors take well: written in the compilers' own
 * vectors, so that one source serves every processor, and none has to be asked what it can. */
#pragma once

#include <stdint.h>

enum { LANES = 8, BLOCK = 64, WORDS = 16, STATE = 8 };

typedef uint32_t Lanes __attribute__((vector_size(4 * LANES)));

/* Where every hash begins. */
extern const uint32_t SHA256_BEGINS[STATE];

/* One block of each message: 16 words, of which each has one word of every message. The words are used up. */
void sha256_block(Lanes state[STATE], Lanes words[WORDS]);
