/* A library to be opened at run time. Built twice, with other names of its functions: -DNAME=… */
#include <stdint.h>
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define BARE __attribute__((noipa))

BARE uint64_t JOIN(spin_, NAME)(uint64_t seed) {
  for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
BARE uint64_t JOIN(NAME, _3)(uint64_t seed) { return JOIN(spin_, NAME)(seed) + 1; }
BARE uint64_t JOIN(NAME, _2)(uint64_t seed) { return JOIN(NAME, _3)(seed) + 1; }
BARE uint64_t JOIN(NAME, _1)(uint64_t seed) { return JOIN(NAME, _2)(seed) + 1; }
