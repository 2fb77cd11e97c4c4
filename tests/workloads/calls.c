/* System calls that are known by number, time and result. Usage:
 *   calls waits     sleeps of known length; prints a line for each call: its name, and the seconds that
 *                   each took, which on a busy machine is more
 *   calls work      calls that fail, are interrupted, restarted, or never return
 *   calls launch    runs `calls work` as another process from its first call on, then waits to be ended
 *   calls rate N S  N getppid calls a second for S seconds
 *   calls time S    for S seconds; prints nanoseconds of CPU that a getppid, a read of one byte, and a
 *                   byte's way to another thread and back take (two switches, on one CPU) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void sleep_ms(int ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  syscall(SYS_nanosleep, &t, NULL);
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int pipe_ends[2], listener;
static char *self;

/* Set before a call that is to sleep: who ends that sleep begins to count then, however late it is. */
static atomic_int waiting;

static void after_ms(int ms) {
  while (!atomic_exchange(&waiting, 0)) sleep_ms(1);
  sleep_ms(ms);
}

static void *write_later(void *unused) {
  for (int i = 0; i < 20; i++) {
    after_ms(20);
    if (write(pipe_ends[1], "x", 1) != 1) fail("write");
  }
  return unused;
}

static void *connect_later(void *unused) {
  struct sockaddr_in to;
  socklen_t size = sizeof to;
  getsockname(listener, (struct sockaddr *)&to, &size);
  for (int i = 0; i < 10; i++) {
    after_ms(30);
    int file = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(file, (struct sockaddr *)&to, size)) fail("connect");
    close(file);
  }
  return unused;
}

static void took(double start) { printf(" %.6f", now() - start); }

static void waits(void) {
  pthread_t other;
  char byte;
  if (pipe(pipe_ends)) fail("pipe");
  pthread_create(&other, NULL, write_later, NULL);
  printf("read");
  for (int i = 0; i < 20; i++) {
    double start = now();
    waiting = 1;
    if (read(pipe_ends[0], &byte, 1) != 1) fail("read");
    took(start);
  }
  pthread_join(other, NULL);

  struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&local, sizeof local) || listen(listener, 8)) fail("listen");
  pthread_create(&other, NULL, connect_later, NULL);
  printf("\naccept");
  for (int i = 0; i < 10; i++) {
    double start = now();
    waiting = 1;
    int file = accept(listener, NULL, NULL);
    took(start);
    close(file);
  }

  printf("\nfutex");
  for (int i = 0; i < 10; i++) {
    struct timespec t = {0, 50000000};
    int word = 0;
    double start = now();
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
    took(start);
  }

  printf("\nclock_nanosleep");
  for (int i = 0; i < 30; i++) {
    struct timespec t = {0, 5000000};
    double start = now();
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    took(start);
  }

  char path[] = "calls-XXXXXX";
  int file = mkstemp(path);
  if (file < 0) fail("mkstemp");
  unlink(path);
  printf("\nfsync");
  for (int i = 0; i < 5; i++) {
    if (write(file, &byte, 1) != 1) fail("write");
    double start = now();
    if (fsync(file)) fail("fsync");
    took(start);
  }
  printf("\n");

  /* Interrupted by the clock all the time, and never asleep. */
  for (double start = now(); now() - start < 0.2;) syscall(SYS_getppid);
}

static void nothing(int signal) { (void)signal; }

static void *leave(void *unused) {
  sleep_ms(20);
  return unused;
}

static void on_signal(int number, int flags) {
  struct sigaction action = {.sa_handler = nothing, .sa_flags = flags};
  sigaction(number, &action, NULL);
}

static void child(void (*work)(int), int argument) {
  pid_t pid = fork();
  if (pid == 0) {
    work(argument);
    _exit(0);
  }
}

/* After a while, so that the parent is in its call. */
static void interrupt(int number) {
  sleep_ms(50);
  kill(getppid(), number);
}

static void stop_and_go(int unused) {
  sleep_ms(50 + unused);
  kill(getppid(), SIGSTOP);
  sleep_ms(50);
  kill(getppid(), SIGCONT);
  /* A tracer's presence makes the news of its end interrupt the parent, too. */
  sleep_ms(400);
}

static void write_late(int file) {
  interrupt(SIGUSR2);
  sleep_ms(50);
  if (write(file, "x", 1) != 1) _exit(1);
}

static void become(int unused) {
  char *const arguments[] = {self, "leaf", NULL};
  execv(self, arguments);
  _exit(unused + 1);
}

static void work(void) {
  char byte;
  int ends[2];
  if (pipe2(ends, O_NONBLOCK)) fail("pipe2");
  for (int i = 0; i < 7; i++) open("/nonexistent", O_RDONLY);
  for (int i = 0; i < 5; i++)
    if (read(ends[0], &byte, 1) >= 0) exit(1);
  for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
  for (int i = 0; i < 3; i++) syscall(5000);
  struct timespec long_time = {0, 300000000};

  on_signal(SIGUSR1, 0);
  child(interrupt, SIGUSR1);
  if (syscall(SYS_nanosleep, &long_time, NULL) == 0 || errno != EINTR) exit(1);
  wait(NULL);

  on_signal(SIGUSR2, SA_RESTART);
  int late[2];
  if (pipe(late)) fail("pipe");
  child(write_late, late[1]);
  if (read(late[0], &byte, 1) != 1) exit(1);
  wait(NULL);

  child(stop_and_go, 0);
  if (syscall(SYS_nanosleep, &long_time, NULL)) exit(1);
  wait(NULL);

  for (int i = 0; i < 3; i++) {
    child(become, 0);
    wait(NULL);
  }
  for (int i = 0; i < 3; i++) {
    pthread_t other;
    pthread_create(&other, NULL, leave, NULL);
    pthread_join(other, NULL);
  }
}

static void launch(void) {
  char *const arguments[] = {self, "work", NULL};
  char *const environment[] = {"OTEL_SERVICE_NAME=calls", NULL};
  long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    execve(self, arguments, environment);
    _exit(1);
  }
  int status = 1;
  waitpid(pid, &status, 0);
  printf("ended with %d\n", status);
  fflush(stdout);
  pause();
}

static void rate(int per_second, int seconds) {
  double start = now();
  for (long done = 0; now() - start < seconds;) {
    for (; done < (now() - start) * per_second; done++) syscall(SYS_getppid);
    sleep_ms(2);
  }
}

static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static int there[2], back[2];

static void *answer(void *unused) {
  char byte;
  while (read(there[0], &byte, 1) == 1)
    if (write(back[1], &byte, 1) != 1) break;
  return unused;
}

static void timed(int seconds) {
  enum { CALLS = 20000, WAYS = 2000 };
  char byte = 0;
  int zero = open("/dev/zero", O_RDONLY);
  pthread_t other;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);
  if (pipe(there) || pipe(back)) fail("pipe");
  pthread_create(&other, NULL, answer, NULL);
  double ns[3] = {0}, rounds = 0;
  for (double start = now(); now() - start < seconds; rounds++) {
    double at[4];
    at[0] = cpu_ns();
    for (int i = 0; i < CALLS; i++) syscall(SYS_getppid);
    at[1] = cpu_ns();
    for (int i = 0; i < CALLS; i++)
      if (read(zero, &byte, 1) != 1) fail("read");
    at[2] = cpu_ns();
    for (int i = 0; i < WAYS; i++)
      if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) fail("way");
    at[3] = cpu_ns();
    for (int i = 0; i < 3; i++) ns[i] += at[i + 1] - at[i];
  }
  printf("%.1f %.1f %.1f\n", ns[0] / rounds / CALLS, ns[1] / rounds / CALLS, ns[2] / rounds / WAYS);
}

int main(int argc, char **argv) {
  self = argv[0];
  const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "waits")) waits();
  else if (!strcmp(what, "work")) work();
  else if (!strcmp(what, "launch")) launch();
  else if (!strcmp(what, "rate") && argc > 3) rate(atoi(argv[2]), atoi(argv[3]));
  else if (!strcmp(what, "time") && argc > 2) timed(atoi(argv[2]));
  else if (strcmp(what, "leaf")) return 2;
  return 0;
}
