/* Works for some 10 ms of CPU time in a chain of calls, says what it used as chains.c does, and is
 * gone. `storm.c` starts it. To be built without frame pointers. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define BARE __attribute__((noipa))
static volatile uint64_t sink;

/* About 0.3 ms. */
BARE uint64_t spin_brief(uint64_t seed) {
  for (int i = 0; i < 300000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
#define LINK(name, next) \
  BARE uint64_t name(uint64_t seed) { return next(seed + 1) + 1; }
LINK(brief_5, spin_brief)
LINK(brief_4, brief_5)
LINK(brief_3, brief_4)
LINK(brief_2, brief_3)
LINK(brief_1, brief_2)

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(void) {
  uint64_t begun = now(), at = begun, seed = 1;
  for (; at < begun + 10000000; at = now()) seed = brief_1(seed);
  sink = seed;
  printf("SHARE brief %llu brief_1;brief_2;brief_3;brief_4;brief_5;spin_brief\n",
         (unsigned long long)(at - begun));
  return 0;
}
