/* COUNT processes that each use 0.2 % of a CPU, in phases of their own: 1 ms of work in a chain of
 * calls, about twice a second. At the end it says what all of them used in the chain, as chains.c
 * does, and their CPU time in all, in milliseconds. To be built without frame pointers.
 * Usage: quiet COUNT SECONDS */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BARE __attribute__((noipa))
static volatile uint64_t sink;

/* About 0.05 ms. */
BARE uint64_t spin_quiet(uint64_t seed) {
  for (int i = 0; i < 50000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
#define LINK(name, next) \
  BARE uint64_t name(uint64_t seed) { return next(seed + 1) + 1; }
LINK(quiet_5, spin_quiet)
LINK(quiet_4, quiet_5)
LINK(quiet_3, quiet_4)
LINK(quiet_2, quiet_3)
LINK(quiet_1, quiet_2)

static uint64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t milliseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_usec / 1000;
}

/* Works at random times until `end`; returns the CPU time in the chain. */
static uint64_t live(unsigned random, uint64_t end) {
  uint64_t used = 0, seed = random;
  long gap = rand_r(&random) % 500000000;
  while (now(CLOCK_MONOTONIC) + (uint64_t)gap < end) {
    nanosleep(&(struct timespec){0, gap}, NULL);
    uint64_t begun = now(CLOCK_THREAD_CPUTIME_ID), at = begun;
    for (; at < begun + 1000000; at = now(CLOCK_THREAD_CPUTIME_ID)) seed = quiet_1(seed);
    used += at - begun;
    gap = 250000000 + rand_r(&random) % 500000000;
  }
  sink = seed;
  return used;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int count = atoi(argv[1]);
  uint64_t end = now(CLOCK_MONOTONIC) + (uint64_t)atoi(argv[2]) * 1000000000u;
  uint64_t *used = mmap(NULL, (size_t)count * sizeof *used, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (used == MAP_FAILED) return 1;
  for (int i = 0; i < count; i++) {
    pid_t child = fork();
    if (child == 0) {
      used[i] = live((unsigned)i * 2654435761u + 1, end);
      _exit(0);
    }
    if (child < 0) return 1;
  }
  uint64_t all = 0;
  while (wait(NULL) > 0) {}
  for (int i = 0; i < count; i++) all += used[i];
  struct rusage children, own;
  getrusage(RUSAGE_CHILDREN, &children);
  getrusage(RUSAGE_SELF, &own);
  printf("SHARE quiet %llu quiet_1;quiet_2;quiet_3;quiet_4;quiet_5;spin_quiet\n",
         (unsigned long long)all);
  printf("own %llu\n",
         (unsigned long long)(milliseconds(own.ru_utime) + milliseconds(own.ru_stime)));
  printf("children %llu\n",
         (unsigned long long)(milliseconds(children.ru_utime) + milliseconds(children.ru_stime)));
  return 0;
}
