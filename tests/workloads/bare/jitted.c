/* Makes code at run time, at one address in every process, and works in it, called by a function that
 * tells which process it is. EAST and WEST leave a perf map that gives the code a name of their own;
 * NONE leaves none. Usage: jitted east|west|none CPU_SECONDS */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BARE __attribute__((noipa))
#define ADDRESS 0x5a0000000000
#define BYTES 4096
typedef uint64_t (*code)(uint64_t);
static volatile uint64_t sink;

/* Copied to be the code: it lies nowhere in particular and keeps a frame pointer, as JITs do. */
BARE __attribute__((optimize("no-omit-frame-pointer"))) uint64_t pattern(uint64_t seed) {
  /* Who asks for the frame's address gets a frame. */
  __asm__ volatile("" : : "r"(__builtin_frame_address(0)));
  for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
#define RUN(name) \
  BARE uint64_t name(code made, uint64_t seed) { return made(seed + 1) + 1; }
RUN(run_east)
RUN(run_west)
RUN(run_none)

static char path[64];
static int leave_map(const char *name) {
  snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
  FILE *map = fopen(path, "w");
  if (!map) return perror(path), 1;
  fprintf(map, "%lx %x jit_%s\n", ADDRESS, BYTES, name);
  return fclose(map);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int named = strcmp(argv[1], "none") != 0, east = strcmp(argv[1], "east") == 0;
  uint64_t (*run)(code, uint64_t) = !named ? run_none : east ? run_east : run_west;
  void *made = mmap((void *)ADDRESS, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (made != (void *)ADDRESS) return perror("mmap"), 1;
  memcpy(made, (const void *)pattern, 256);
  __builtin___clear_cache((char *)made, (char *)made + BYTES);
  if (named && leave_map(argv[1]) != 0) return 1;
  uint64_t end = (uint64_t)atoi(argv[2]) * 1000000000u, seed = 1;
  while (now() < end) seed = run((code)made, seed);
  sink = seed;
  unlink(path);
  /* What a frame without a name is called is the agent's to say. */
  printf("SHARE %s 1 run_%s;%s%s\n", argv[1], argv[1], named ? "jit_" : "*", named ? argv[1] : "");
  return 0;
}
