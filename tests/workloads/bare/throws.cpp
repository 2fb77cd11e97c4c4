// Time spent in unwinding exceptions through ten frames, and behind virtual and std::function calls.
// Says what it used as chains.c does. Usage: throws CPU_SECONDS
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>

#define BARE __attribute__((noipa))

template <int left>
BARE uint64_t thrower(uint64_t seed) {
  return thrower<left - 1>(seed + 1) + 1;
}
template <>
BARE uint64_t thrower<1>(uint64_t seed) {
  throw seed;
}
extern "C" BARE uint64_t caught(uint64_t seed) {
  for (int i = 0; i < 200; i++) {
    try {
      seed = thrower<10>(seed);
    } catch (uint64_t thrown) {
      seed = thrown;
    }
  }
  return seed;
}

extern "C" BARE uint64_t spin_virtual(uint64_t seed) {
  for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
struct Base {
  virtual ~Base() = default;
  virtual uint64_t work(uint64_t seed) const = 0;
};
struct Derived final : Base {
  BARE uint64_t work(uint64_t seed) const override { return spin_virtual(seed) + 1; }
};
static const Derived derived;
static const Base *volatile object = &derived;
extern "C" BARE uint64_t virtually(uint64_t seed) { return object->work(seed) + 1; }

extern "C" BARE uint64_t spin_function(uint64_t seed) {
  for (int i = 0; i < 3000000; i++) seed = seed * 6364136223846793005u + 1442695041;
  return seed;
}
static std::function<uint64_t(uint64_t)> function = [](uint64_t seed) {
  return spin_function(seed) + 1;
};
extern "C" BARE uint64_t functionally(uint64_t seed) { return function(seed) + 1; }

struct Kind {
  const char *name, *frames;
  uint64_t (*run)(uint64_t);
  uint64_t ns;
};
// Catching is a little of it, and happens when these frames are gone.
#define THROWERS                                                                                 \
  "thrower<10>;thrower<9>;thrower<8>;thrower<7>;thrower<6>;thrower<5>;thrower<4>;"        \
  "thrower<3>;thrower<2>;thrower<1>;*"
static Kind kinds[] = {
    {"throw", THROWERS, caught, 0},
    {"virtual", "virtually;Derived::work;spin_virtual", virtually, 0},
    {"function", "functionally;*;spin_function", functionally, 0},
};

static uint64_t now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return uint64_t(time.tv_sec) * 1000000000u + uint64_t(time.tv_nsec);
}

int main(int argc, char **argv) {
  uint64_t end = uint64_t(argc > 1 ? atoi(argv[1]) : 5) * 1000000000u;
  uint64_t seed = 1;
  while (now(CLOCK_PROCESS_CPUTIME_ID) < end) {
    for (Kind &kind : kinds) {
      uint64_t before = now(CLOCK_THREAD_CPUTIME_ID), at = before;
      while (at < before + 20000000) {
        seed = kind.run(seed);
        at = now(CLOCK_THREAD_CPUTIME_ID);
      }
      kind.ns += at - before;
    }
  }
  volatile uint64_t sink = seed;
  (void)sink;
  for (const Kind &kind : kinds)
    printf("SHARE %s %llu %s\n", kind.name, static_cast<unsigned long long>(kind.ns), kind.frames);
}
