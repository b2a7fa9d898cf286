/* The part of the standard library that bindings need; runtime.c has it. */
#ifndef ALTYN_STDLIB_H
#define ALTYN_STDLIB_H
#include <stddef.h>
void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void free(void *block);
_Noreturn void abort(void);
#endif
