/* Three functions that share the CPU 60 : 30 : 10 by construction: the same inner loop, called 6, 3
 * and 1 times a round. `deep` calls them through a chain of 12. Usage: shares SECONDS; at the end
 * it prints its own CPU time in milliseconds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static volatile uint64_t sink;

/* Inlined into each of the three, so that a sample's leaf is the function whose share it is. */
static inline __attribute__((always_inline)) uint64_t unit(uint64_t seed) {
  for (int i = 0; i < 400000; i++) seed = seed * 6364136223846793005u + 1442695040888963407u;
  return seed;
}

/* Who asks for the frame's address gets a frame: gcc leaves it out of leaf functions otherwise, and
 * a walk by frame pointers then skips their caller. */
#define WORK(name, times)                                             \
  __attribute__((noinline)) uint64_t name(uint64_t seed) {            \
    __asm__ volatile("" : : "r"(__builtin_frame_address(0)));         \
    for (int i = 0; i < (times); i++) seed = unit(seed);              \
    return seed;                                                      \
  }
WORK(work_sixty, 6)
WORK(work_thirty, 3)
WORK(work_ten, 1)

__attribute__((noinline)) uint64_t round_of_work(uint64_t seed) {
  seed = work_sixty(seed) + 1;
  seed = work_thirty(seed) + 1;
  return work_ten(seed) + 1;
}

#define LINK(name, next) \
  __attribute__((noinline)) uint64_t name(uint64_t seed) { return next(seed) + 1; }
LINK(chain_12, round_of_work)
LINK(chain_11, chain_12)
LINK(chain_10, chain_11)
LINK(chain_9, chain_10)
LINK(chain_8, chain_9)
LINK(chain_7, chain_8)
LINK(chain_6, chain_7)
LINK(chain_5, chain_6)
LINK(chain_4, chain_5)
LINK(chain_3, chain_4)
LINK(chain_2, chain_3)
LINK(chain_1, chain_2)

int main(int argc, char **argv) {
  time_t until = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
  uint64_t seed = 1;
  while (time(NULL) < until) seed = chain_1(seed);
  sink = seed;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("%ld\n", used.ru_utime.tv_sec * 1000 + used.ru_utime.tv_usec / 1000 +
                      used.ru_stime.tv_sec * 1000 + used.ru_stime.tv_usec / 1000);
  return 0;
}
