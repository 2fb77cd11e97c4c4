// A Go service that is instrumented with Pyroscope's own SDK, as its users have them: it burns CPU
// for some seconds, and says how the server answered. Usage: sdk URL SECONDS
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/grafana/pyroscope-go"
)

// counted sends requests on and keeps account of the answers.
type counted struct{ taken, refused atomic.Int64 }

func (c *counted) Do(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultClient.Do(request)
	if err == nil && response.StatusCode == http.StatusOK {
		c.taken.Add(1)
		return response, err
	}
	c.refused.Add(1)
	fmt.Fprintln(os.Stderr, request.URL.Path, response, err)
	return response, err
}

//go:noinline
func burn(until time.Time) (sum uint64) {
	for time.Now().Before(until) {
		for i := uint64(0); i < 1_000_000; i++ {
			sum = sum*31 + i
		}
	}
	return sum
}

var kept [][]byte

func main() {
	seconds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	client := &counted{}
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: "sdk",
		ServerAddress:   os.Args[1],
		UploadRate:      time.Second,
		Tags:            map[string]string{"region": "north"},
		HTTPClient:      client,
	})
	if err != nil {
		panic(err)
	}
	for i := 0; i < 64; i++ {
		kept = append(kept, make([]byte, 1<<20))
	}
	sum := burn(time.Now().Add(time.Duration(seconds) * time.Second))
	if err := profiler.Stop(); err != nil {
		panic(err)
	}
	fmt.Printf("taken %d refused %d sum %d\n", client.taken.Load(), client.refused.Load(), sum)
}
