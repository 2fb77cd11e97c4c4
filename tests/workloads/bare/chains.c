/* Chains of calls that are known exactly, to be built without frame pointers. Each kind of chain
 * gets a slice of CPU time in turn; at the end a line for each says what it really used, in
 * nanoseconds, and its frames from the one that `main` or the thread's start calls:
 *   SHARE name ns frame;frame;…
 * `*` stands for some frames of libraries, whose names vary; `60(a,b)` for 60 frames of these in
 * turn.
 * Usage: chains CPU_SECONDS PLUGIN LATE_PLUGIN; without libraries: chains CPU_SECONDS [CHAIN] */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define BARE __attribute__((noipa))
static volatile uint64_t sink;

/* About 3 ms, so that the way down the chain does not count. Each kind has a leaf of its own. */
#define SPIN(name)                                                                     \
  BARE uint64_t name(uint64_t seed) {                                                  \
    for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041; \
    return seed;                                                                       \
  }
/* The call is no tail call: something is left to do behind it. */
#define LINK(name, next) \
  BARE uint64_t name(uint64_t seed) { return next(seed + 1) + 1; }

SPIN(spin_twelve)
LINK(twelve_11, spin_twelve)
LINK(twelve_10, twelve_11)
LINK(twelve_9, twelve_10)
LINK(twelve_8, twelve_9)
LINK(twelve_7, twelve_8)
LINK(twelve_6, twelve_7)
LINK(twelve_5, twelve_6)
LINK(twelve_4, twelve_5)
LINK(twelve_3, twelve_4)
LINK(twelve_2, twelve_3)
LINK(twelve_1, twelve_2)

/* Sixty frames of 272 bytes: a return address, 256 bytes of array, alignment. */
SPIN(spin_sixty)
BARE uint64_t sixty_b(uint64_t seed, int left);
BARE uint64_t sixty_a(uint64_t seed, int left) {
  volatile char wide[256];
  wide[seed & 255] = (char)left;
  return (left > 1 ? sixty_b(seed + 1, left - 1) : spin_sixty(seed)) + (uint64_t)wide[seed & 255];
}
BARE uint64_t sixty_b(uint64_t seed, int left) {
  volatile char wide[256];
  wide[seed & 255] = (char)left;
  return (left > 1 ? sixty_a(seed + 1, left - 1) : spin_sixty(seed)) + (uint64_t)wide[seed & 255];
}
BARE uint64_t sixty(uint64_t seed) { return sixty_a(seed, 60) + 1; }

/* Three functions in a ring, so that a frame left out or doubled shows. */
SPIN(spin_deep)
BARE uint64_t deep_b(uint64_t seed, int left);
BARE uint64_t deep_c(uint64_t seed, int left);
BARE uint64_t deep_a(uint64_t seed, int left) {
  return (left > 1 ? deep_b(seed, left - 1) : spin_deep(seed)) + 1;
}
BARE uint64_t deep_b(uint64_t seed, int left) {
  return (left > 1 ? deep_c(seed, left - 1) : spin_deep(seed)) + 2;
}
BARE uint64_t deep_c(uint64_t seed, int left) {
  return (left > 1 ? deep_a(seed, left - 1) : spin_deep(seed)) + 3;
}
BARE uint64_t deep(uint64_t seed) { return deep_a(seed, 900) + 1; }

/* A frame that 16 bits of words do not reach: compilers of programs have such. */
SPIN(spin_huge)
BARE uint64_t huge(uint64_t seed) {
  volatile char wide[600000];
  wide[seed & 255] = 1;
  return spin_huge(seed) + (uint64_t)wide[seed & 255];
}

SPIN(spin_sorted)
BARE int compare(const void *left, const void *right) {
  sink = spin_sorted(*(const int *)left + *(const int *)right);
  return *(const int *)left - *(const int *)right;
}
BARE uint64_t sorted(uint64_t seed) {
  int numbers[2] = {2, (int)(seed & 1)};
  qsort(numbers, 2, sizeof numbers[0], compare);
  return (uint64_t)numbers[0];
}

static inline __attribute__((always_inline)) uint64_t inlined(uint64_t seed) {
  for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
BARE uint64_t has_inlined(uint64_t seed) { return inlined(seed) + 1; }

/* A timer interrupts `spin_interrupted` wherever it is; the handler takes half the time. */
SPIN(spin_handler)
SPIN(spin_interrupted)
LINK(interrupted_2, spin_interrupted)
BARE void on_signal(int number) { sink = spin_handler((uint64_t)number) + 1; }
LINK(interrupted_1, interrupted_2)
BARE uint64_t signalled(uint64_t seed) {
  struct itimerval soon = {.it_value = {.tv_usec = 500}}, never = {0};
  setitimer(ITIMER_REAL, &soon, NULL);
  seed = interrupted_1(seed);
  setitimer(ITIMER_REAL, &never, NULL);
  return seed + 1;
}

SPIN(spin_thread)
LINK(thread_2, spin_thread)
LINK(thread_1, thread_2)
static uint64_t thread_ns;
static uint64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
BARE void *in_thread(void *seed) {
  for (int i = 0; i < 8; i++) sink = thread_1((uint64_t)seed);
  thread_ns += now(CLOCK_THREAD_CPUTIME_ID);
  return NULL;
}
BARE uint64_t threaded(uint64_t seed) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, in_thread, (void *)seed) == 0) pthread_join(thread, NULL);
  return seed;
}

static char from[1 << 16], to[1 << 16];
BARE uint64_t copies(uint64_t seed) {
  for (int i = 0; i < 1000; i++) {
    memcpy(to, from, sizeof to - (seed & 15));
    __asm__ volatile("" : : "r"(to) : "memory");
  }
  return seed + 1;
}

BARE uint64_t clocks(uint64_t seed) {
  struct timespec time;
  for (int i = 0; i < 50000; i++) clock_gettime(CLOCK_MONOTONIC, &time);
  return seed + (uint64_t)time.tv_nsec;
}

#ifndef NO_PLUGIN
static uint64_t (*plugin)(uint64_t), (*late)(uint64_t);
/* Calls back into this program from inside the library. */
BARE uint64_t plugged(uint64_t seed) { return plugin(seed) + 1; }
BARE uint64_t late_plugged(uint64_t seed) { return late(seed) + 1; }
static void *opened(const char *path, const char *name) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, name) : NULL;
  if (!function) fprintf(stderr, "%s\n", dlerror()), exit(2);
  return function;
}
#endif

struct Kind {
  const char *name, *frames;
  uint64_t (*run)(uint64_t);
  uint64_t ns;
};
#define TWELVE                                                                              \
  "twelve_1;twelve_2;twelve_3;twelve_4;twelve_5;twelve_6;twelve_7;twelve_8;twelve_9;"       \
  "twelve_10;twelve_11;spin_twelve"
static struct Kind kinds[] = {
    {"twelve", TWELVE, twelve_1, 0},
    {"sixty", "sixty;60(sixty_a,sixty_b);spin_sixty", sixty, 0},
    {"deep", "deep;900(deep_a,deep_b,deep_c);spin_deep", deep, 0},
    {"huge", "huge;spin_huge", huge, 0},
    {"sorted", "sorted;*;compare;spin_sorted", sorted, 0},
    {"inlined", "has_inlined;inlined", has_inlined, 0},
    {"signal", "signalled;interrupted_1;interrupted_2;spin_interrupted;*;on_signal;spin_handler",
     signalled, 0},
    {"thread", "in_thread;thread_1;thread_2;spin_thread", threaded, 0},
    {"copies", "copies;*", copies, 0},
    {"clocks", "clocks;*", clocks, 0},
#ifndef NO_PLUGIN
    {"plugin", "plugged;plugin_1;plugin_2;plugin_3;spin_plugin", plugged, 0},
    {"late", "late_plugged;late_1;late_2;late_3;spin_late", late_plugged, 0},
#endif
};

int main(int argc, char **argv) {
  uint64_t limit = (uint64_t)(argc > 1 ? atoi(argv[1]) : 5) * 1000000000u;
  uint64_t seed = 1;
  struct Kind *first = kinds;
  size_t count = sizeof kinds / sizeof kinds[0], ready = count;
#ifndef NO_PLUGIN
  if (argc != 4) return 2;
  plugin = (uint64_t(*)(uint64_t))opened(argv[2], "plugin_1");
  ready = count - 1;
#else
  if (argc > 2) {
    while (first < kinds + count && strcmp(first->name, argv[2]) != 0) first++;
    if (first == kinds + count) return 2;
    ready = 1;
  }
#endif
  signal(SIGALRM, on_signal);
  for (uint64_t past = 0; past < limit; past = now(CLOCK_PROCESS_CPUTIME_ID)) {
#ifndef NO_PLUGIN
    if (!late && past > limit / 3) {
      late = (uint64_t(*)(uint64_t))opened(argv[3], "late_1");
      ready = count;
    }
#endif
    for (struct Kind *kind = first; kind < first + ready; kind++) {
      uint64_t before = now(CLOCK_THREAD_CPUTIME_ID), end = before + 20000000, at = before;
      uint64_t in_threads = thread_ns;
      while (at + (thread_ns - in_threads) < end) {
        seed = kind->run(seed);
        at = now(CLOCK_THREAD_CPUTIME_ID);
      }
      /* What the main thread pays for threads is little, and not theirs. */
      kind->ns += thread_ns > in_threads ? thread_ns - in_threads : at - before;
    }
  }
  sink = seed;
  for (struct Kind *kind = first; kind < first + ready; kind++)
    printf("SHARE %s %llu %s\n", kind->name, (unsigned long long)kind->ns, kind->frames);
  return 0;
}
