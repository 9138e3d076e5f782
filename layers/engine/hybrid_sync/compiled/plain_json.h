#pragma once

#include <stddef.h>

/* Whether these bytes are JSON that jsonb stores exactly as they are; 0 also of what this does not want to judge. */
int plain_json(const unsigned char *text, size_t size);
