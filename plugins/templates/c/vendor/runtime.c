/* What a plugin in C needs of a standard library: memory, and moving bytes in it.
 *
 * A call is made in a fresh instance and ends with it, so memory is taken and never given back: free does nothing.
 * When there is no more, the call ends with a trap; the host names the limit. */
#include <stdint.h>

#include "stdlib.h"
#include "string.h"

#define PAGE 65536u

extern unsigned char __heap_base;
static size_t next;

/* Every block is preceded by its size, which realloc needs. Blocks are aligned to 8, the most that the contract asks. */
void *malloc(size_t bytes) {
    if (next == 0) next = ((size_t)&__heap_base + 7) & ~(size_t)7;
    size_t block = next + 8, rounded = (bytes + 7) & ~(size_t)7, end = block + rounded;
    if (rounded < bytes || end < block) abort();
    size_t held = __builtin_wasm_memory_size(0) * PAGE;
    if (end > held) {
        /* Twice as much each time, so that a batch does not ask for every page by itself. */
        size_t missing = (end - held + PAGE - 1) / PAGE, wanted = held / PAGE > missing ? held / PAGE : missing;
        if (__builtin_wasm_memory_grow(0, wanted) == SIZE_MAX && __builtin_wasm_memory_grow(0, missing) == SIZE_MAX) abort();
    }
    *(size_t *)next = bytes;
    next = end;
    return (void *)block;
}

void *calloc(size_t count, size_t bytes) {
    if (bytes != 0 && count > SIZE_MAX / bytes) abort();
    return memset(malloc(count * bytes), 0, count * bytes);
}

void *realloc(void *block, size_t bytes) {
    if (block == NULL) return malloc(bytes);
    size_t had = *(size_t *)((unsigned char *)block - 8);
    if (bytes <= had) return block;
    return memcpy(malloc(bytes), block, had);
}

void free(void *block) { (void)block; }

_Noreturn void abort(void) { __builtin_trap(); }

/* no_builtin keeps the compiler from turning these loops into calls of themselves. */
__attribute__((no_builtin)) void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    unsigned char *t = to;
    const unsigned char *f = from;
    while (bytes-- > 0) *t++ = *f++;
    return to;
}

__attribute__((no_builtin)) void *memmove(void *to, const void *from, size_t bytes) {
    unsigned char *t = to;
    const unsigned char *f = from;
    if ((uintptr_t)t <= (uintptr_t)f) {
        while (bytes-- > 0) *t++ = *f++;
    } else {
        while (bytes-- > 0) t[bytes] = f[bytes];
    }
    return to;
}

__attribute__((no_builtin)) void *memset(void *to, int value, size_t bytes) {
    unsigned char *t = to;
    while (bytes-- > 0) *t++ = (unsigned char)value;
    return to;
}

__attribute__((no_builtin)) int memcmp(const void *a, const void *b, size_t bytes) {
    const unsigned char *x = a, *y = b;
    for (; bytes > 0; bytes--, x++, y++) {
        if (*x != *y) return *x < *y ? -1 : 1;
    }
    return 0;
}

__attribute__((no_builtin)) size_t strlen(const char *text) {
    size_t bytes = 0;
    while (text[bytes] != '\0') bytes++;
    return bytes;
}
