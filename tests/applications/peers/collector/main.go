// The OpenTelemetry Collector's own receiver of OTLP, configured by its own words, which prints what it took as one line of
// OTLP's JSON a message. Its service, with pipelines and telemetry of its own, would be four fifths of what is compiled.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var said map[string]any
	must(json.Unmarshal([]byte(os.Args[1]), &said))
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	must(confmap.NewFromStringMap(said).Unmarshal(config))

	var lock sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	tell := func(line []byte) {
		lock.Lock()
		defer lock.Unlock()
		out.Write(append(line, '\n'))
		out.Flush()
	}
	sink, err := consumer.NewTraces(func(_ context.Context, traces ptrace.Traces) error {
		line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
		if err == nil {
			tell(line)
		}
		return err
	})
	must(err)
	it, err := factory.CreateTraces(context.Background(), receivertest.NewNopSettings(factory.Type()), config, sink)
	must(err)
	must(it.Start(context.Background(), componenttest.NewNopHost()))
	tell([]byte(`"ready"`))
	// Until whoever started it is gone.
	io.Copy(io.Discard, os.Stdin)
	must(it.Shutdown(context.Background()))
}
