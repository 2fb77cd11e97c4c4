/* Lives for some 15 ms of CPU in one function of its own, and is gone. `storm.c` starts it. */
#include <stdint.h>
#include <time.h>

static volatile uint64_t sink;

__attribute__((noinline)) uint64_t blink_work(uint64_t seed) {
  struct timespec now, start;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
  do {
    for (int i = 0; i < 100000; i++) seed = seed * 6364136223846793005u + 1442695040888963407u;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  } while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < 15000000L);
  return seed;
}

int main(void) {
  sink = blink_work(1);
  return 0;
}
