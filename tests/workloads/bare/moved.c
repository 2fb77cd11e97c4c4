/* Works in a chain of calls whose code is moved to another address four times a second, by
 * mremap(2), of which the kernel makes no event. At the end it says its CPU time in milliseconds, and the chain.
 * To be built without frame pointers.
 * Usage: moved CPU_SECONDS */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Code that calls only itself and touches no data runs wherever it is mapped. */
#define MOVABLE __attribute__((noipa, section("movable")))
#define PAGE 4096ul
extern char __start_movable[], __stop_movable[];
static volatile uint64_t sink;

/* About 3 ms. */
MOVABLE uint64_t spin_moved(uint64_t seed) {
  for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
#define LINK(name, next) \
  MOVABLE uint64_t name(uint64_t seed) { return next(seed + 1) + 1; }
LINK(moved_3, spin_moved)
LINK(moved_2, moved_3)
LINK(moved_1, moved_2)

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Where in the file this program's code is that is loaded at `address`. */
static uint64_t address, offset;
static int find(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size, (void)unused;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    uint64_t into = address - info->dlpi_addr - segment->p_vaddr;
    if (segment->p_type == PT_LOAD && into < segment->p_filesz) offset = segment->p_offset + into;
  }
  return 1; /* The first is the program itself. */
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  uint64_t end = (uint64_t)atoi(argv[1]) * 1000000000u, next = 0, seed = 1;
  address = (uint64_t)__start_movable & ~(PAGE - 1);
  size_t length = ((uint64_t)__stop_movable - address + PAGE - 1) & ~(PAGE - 1);
  dl_iterate_phdr(find, NULL);
  int file = open("/proc/self/exe", O_RDONLY);
  char *code = mmap(NULL, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, (off_t)offset);
  /* Room for a new place each time: no place is used twice. */
  char *places = mmap(NULL, length * 10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (file < 0 || code == MAP_FAILED || places == MAP_FAILED) return perror("mmap"), 1;
  while (now() < end) {
    if (now() >= next) {
      code = mremap(code, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, places += length);
      if (code == MAP_FAILED) return perror("mremap"), 1;
      next = now() + 250000000u;
    }
    uint64_t (*moved)(uint64_t) = (uint64_t (*)(uint64_t))(code + ((uint64_t)moved_1 - address));
    seed = moved(seed);
  }
  sink = seed;
  printf("own %llu\n", (unsigned long long)(now() / 1000000));
  printf("SHARE moved 1 moved_1;moved_2;moved_3;spin_moved\n");
  return 0;
}
