/* Maps the first page of FILE as code COUNT times, side by side and yet each a mapping of its own, and
 * works in a chain of calls meanwhile and after. At the end it says its CPU time in milliseconds, and
 * the chain. To be built without frame pointers.
 * Usage: mapped FILE COUNT CPU_SECONDS */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define BARE __attribute__((noipa))
static volatile uint64_t sink;

/* About 3 ms. */
BARE uint64_t spin_mapped(uint64_t seed) {
  for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
#define LINK(name, next) \
  BARE uint64_t name(uint64_t seed) { return next(seed + 1) + 1; }
LINK(mapped_5, spin_mapped)
LINK(mapped_4, mapped_5)
LINK(mapped_3, mapped_4)
LINK(mapped_2, mapped_3)
LINK(mapped_1, mapped_2)

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int file = open(argv[1], O_RDONLY), left = atoi(argv[2]);
  uint64_t end = (uint64_t)atoi(argv[3]) * 1000000000u, seed = 1;
  if (file < 0) return perror(argv[1]), 1;
  while (now() < end || left > 0) {
    for (int i = 0; i < 50 && left > 0; i++, left--)
      /* Each begins at the file's first byte, so the kernel cannot join neighbours. */
      if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED)
        return perror("mmap"), 1;
    seed = mapped_1(seed);
  }
  sink = seed;
  printf("own %llu\n", (unsigned long long)(now() / 1000000));
  printf("SHARE mapped 1 mapped_1;mapped_2;mapped_3;mapped_4;mapped_5;spin_mapped\n");
  return 0;
}
