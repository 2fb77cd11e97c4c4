// A chain of twelve in Go, which keeps frame pointers and describes no frames.
// Says what it used as chains.c does. Usage: gopher SECONDS
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

//go:noinline
func spin(seed uint64) uint64 {
	for i := 0; i < 3000000; i++ {
		seed = seed*6364136223846793005 + 1442695041
	}
	return seed
}

//go:noinline
func go11(seed uint64) uint64 { return spin(seed) + 1 }

//go:noinline
func go10(seed uint64) uint64 { return go11(seed) + 1 }

//go:noinline
func go9(seed uint64) uint64 { return go10(seed) + 1 }

//go:noinline
func go8(seed uint64) uint64 { return go9(seed) + 1 }

//go:noinline
func go7(seed uint64) uint64 { return go8(seed) + 1 }

//go:noinline
func go6(seed uint64) uint64 { return go7(seed) + 1 }

//go:noinline
func go5(seed uint64) uint64 { return go6(seed) + 1 }

//go:noinline
func go4(seed uint64) uint64 { return go5(seed) + 1 }

//go:noinline
func go3(seed uint64) uint64 { return go4(seed) + 1 }

//go:noinline
func go2(seed uint64) uint64 { return go3(seed) + 1 }

//go:noinline
func go1(seed uint64) uint64 { return go2(seed) + 1 }

func main() {
	seconds := 5
	if len(os.Args) > 1 {
		seconds, _ = strconv.Atoi(os.Args[1])
	}
	seed, end := uint64(1), time.Now().Add(time.Duration(seconds)*time.Second)
	for time.Now().Before(end) {
		seed = go1(seed)
	}
	frames := "main.main"
	for i := 1; i < 12; i++ {
		frames += fmt.Sprintf(";main.go%d", i)
	}
	fmt.Println("SHARE go", 1+seed&1, frames+";main.spin")
}
