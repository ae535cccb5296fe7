// What a request costs, in the processor's time: make waf-bench.

package inspect

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"everyhop.invalid/waf/frame"
)

// What one request costs, on one core: `make waf-bench`.
func BenchmarkInspect(b *testing.B) {
	for _, it := range costs() {
		b.Run(it.name, func(b *testing.B) {
			ask := func() {
				if answer := Ask([]*Policy{usual()}, it.request); len(answer) == 0 {
					b.Fatal("no answer")
				}
			}
			ask() // what is made ready by the first
			began := cpu()
			for b.Loop() {
				ask()
			}
			// Of all threads, so that the collector's work is in it; the time on the wall is that of a busy machine.
			b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

type cost struct {
	name    string
	request *frame.Request
}

func costs() []cost {
	browser := get("/articles?page=2&sort=date&order=asc")
	browser.Fields = append(browser.Fields,
		frame.Field{Name: "Accept-Language", Value: "en-US,en;q=0.9,de;q=0.8"},
		frame.Field{Name: "Accept-Encoding", Value: "gzip, deflate, br, zstd"},
		frame.Field{Name: "Sec-Fetch-Site", Value: "same-origin"},
		frame.Field{Name: "Sec-Fetch-Mode", Value: "navigate"},
		frame.Field{Name: "Referer", Value: "https://shop.test/articles?page=1"},
		frame.Field{Name: "Cookie", Value: "session=5f2b9c1d7e; theme=dark; seen=20261127"})
	return []cost{
		{"GET", browser},
		{"GET-denied", get(inQuery)},
		{"JSON-2KB", post("application/json", values(2<<10))},
		{"JSON-64KB-of-2000-values-refused", post("application/json", values(64<<10))},
		{"JSON-64KB-of-900-values", post("application/json", few(900, 64<<10))},
		{"JSON-64KB-of-one-text", post("application/json", `{"text":"`+strings.Repeat("some words of prose, ", 64<<10/21)+`"}`)},
	}
}

// few is JSON of so many texts, which come to so many bytes.
func few(count, bytes int) string {
	made := make([]string, count)
	for n := range made {
		made[n] = fmt.Sprintf(`"%s %d"`, strings.Repeat("some words of prose, ", 6)[:bytes/count-9], n)
	}
	return "[" + strings.Join(made, ",") + "]"
}

// values is JSON of that many bytes at most, of some 40 a value, as an interface has them.
func values(bytes int) string {
	var made strings.Builder
	made.WriteString(`{"items":[`)
	for n := 0; made.Len() < bytes-120; n++ {
		if n > 0 {
			made.WriteByte(',')
		}
		fmt.Fprintf(&made, `{"id":%d,"name":"article number %d","price":%d.99,"tags":"new, on sale, %d"}`, n, n, n%100, n)
	}
	return made.String() + `]}`
}
