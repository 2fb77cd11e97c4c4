/* Opens the libraries FOLDER/0.so … FOLDER/COUNT-1.so, and works in each of them in turn. At the end it
 * says its CPU time in milliseconds, and the chain. To be built without frame pointers.
 * Usage: many FOLDER COUNT CPU_SECONDS */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BARE __attribute__((noipa))
static volatile uint64_t sink;
static uint64_t (*library)(uint64_t);

BARE uint64_t many_2(uint64_t seed) { return library(seed) + 1; }
BARE uint64_t many_1(uint64_t seed) { return many_2(seed) + 1; }

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int count = atoi(argv[2]);
  uint64_t end = (uint64_t)atoi(argv[3]) * 1000000000u, seed = 1;
  void **libraries = calloc((size_t)count, sizeof *libraries);
  char path[4096];
  for (int i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/%d.so", argv[1], i);
    void *handle = dlopen(path, RTLD_NOW);
    if (!handle || !(libraries[i] = dlsym(handle, "plugin_1"))) return puts(dlerror()), 1;
  }
  for (int i = 0; now() < end; i = (i + 1) % count) {
    library = (uint64_t(*)(uint64_t))libraries[i];
    seed = many_1(seed);
  }
  sink = seed;
  printf("own %llu\n", (unsigned long long)(now() / 1000000));
  printf("SHARE many 1 many_1;many_2;plugin_1;plugin_2;plugin_3;spin_plugin\n");
  return 0;
}
