/* A fork storm: COUNT times forks and executes PROGRAM, 50 a second, and waits for each. Prints its
 * own CPU time and, last, that of all its children, in milliseconds. Usage: storm PROGRAM COUNT */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long milliseconds(struct rusage used) {
  return used.ru_utime.tv_sec * 1000 + used.ru_utime.tv_usec / 1000 + used.ru_stime.tv_sec * 1000 +
         used.ru_stime.tv_usec / 1000;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int count = atoi(argv[2]);
  struct timespec gap = {0, 20000000};
  for (int i = 0; i < count; i++) {
    pid_t child = fork();
    if (child == 0) {
      execl(argv[1], argv[1], (char *)NULL);
      _exit(127);
    }
    nanosleep(&gap, NULL);
    while (waitpid(-1, NULL, WNOHANG) > 0) {}
  }
  while (wait(NULL) > 0) {}
  struct rusage own, children;
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  printf("own %ld\n%ld\n", milliseconds(own), milliseconds(children));
  return 0;
}
