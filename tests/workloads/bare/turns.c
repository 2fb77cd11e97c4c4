/* Works for some 2 ms in a chain of calls and then becomes, by exec, the program OTHER, which does the
 * same. Built twice, with other names and frames of another size at the same addresses: -no-pie
 * -DNAME=… -DWIDE=… . Who is at it when the time is over says which chains there were, as chains.c
 * does. Usage: turns OTHER SECONDS [END] */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define BARE __attribute__((noipa))
static volatile uint64_t sink;

BARE uint64_t JOIN(spin_, NAME)(uint64_t seed) {
  for (int i = 0; i < 1000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
#define LINK(name, next)                                      \
  BARE uint64_t name(uint64_t seed) {                         \
    volatile char wide[WIDE];                                 \
    wide[seed % WIDE] = 1;                                    \
    return next(seed + 1) + (uint64_t)wide[seed % WIDE];      \
  }
LINK(JOIN(NAME, _5), JOIN(spin_, NAME))
LINK(JOIN(NAME, _4), JOIN(NAME, _5))
LINK(JOIN(NAME, _3), JOIN(NAME, _4))
LINK(JOIN(NAME, _2), JOIN(NAME, _3))
LINK(JOIN(NAME, _1), JOIN(NAME, _2))

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void declare(const char *name) {
  printf("SHARE %s 1 ", name);
  for (int i = 1; i <= 5; i++) printf("%s_%d;", name, i);
  printf("spin_%s\n", name);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  uint64_t end = argc > 3 ? strtoull(argv[3], NULL, 10)
                          : now() + (uint64_t)atoi(argv[2]) * 1000000000u;
  sink = JOIN(NAME, _1)(end) + JOIN(NAME, _1)(1);
  if (now() < end) {
    char when[32];
    snprintf(when, sizeof when, "%llu", (unsigned long long)end);
    execl(argv[1], argv[1], argv[0], argv[2], when, (char *)NULL);
    return 1;
  }
  declare("east");
  declare("west");
  return 0;
}
