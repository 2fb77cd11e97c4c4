/* COUNT processes that are nearly idle: each works for some 0.1 ms, about every 100 ms, in a phase of
 * its own. They live until their parent, this program, ends. Usage: idle COUNT */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t sink;

__attribute__((noinline)) void idle_work(void) {
  uint64_t seed = sink;
  for (int i = 0; i < 100000; i++) seed = seed * 6364136223846793005u + 1442695040888963407u;
  sink = seed;
}

static void live(unsigned seed) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  for (;;) {
    struct timespec gap = {0, 50000000 + rand_r(&seed) % 100000000};
    nanosleep(&gap, NULL);
    idle_work();
  }
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 300;
  for (int i = 0; i < count; i++)
    if (fork() == 0) live((unsigned)i * 2654435761u + 1);
  pause();
  return 0;
}
