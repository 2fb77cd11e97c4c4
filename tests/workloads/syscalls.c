/* Spends nearly all of its time in the kernel: reads /dev/zero into a large buffer. libc's read() keeps
 * no frame pointer, which hides its caller from a walk by frame pointers: read_zeroes is that caller,
 * copy_zeroes the first frame that must be seen. Usage: syscalls SECONDS */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

__attribute__((noinline)) long read_zeroes(int file) {
  long sum = 0;
  for (int i = 0; i < 100; i++) sum += read(file, buffer, sizeof buffer);
  return sum;
}

__attribute__((noinline)) long copy_zeroes(int file) { return read_zeroes(file) + 1; }

int main(int argc, char **argv) {
  time_t until = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
  int file = open("/dev/zero", O_RDONLY);
  if (file < 0) return 1;
  while (time(NULL) < until)
    if (copy_zeroes(file) < 0) return 1;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("%ld\n", used.ru_utime.tv_sec * 1000 + used.ru_utime.tv_usec / 1000 +
                      used.ru_stime.tv_sec * 1000 + used.ru_stime.tv_usec / 1000);
  return 0;
}
