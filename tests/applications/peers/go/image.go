package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Pushes an image of three layers and pulls it again, by what crane is made of; says both digests, and how much came back.
func image(ca, reference string) {
	ref, err := name.ParseReference(reference)
	must(err)
	options := []remote.Option{remote.WithTransport(transport(&tls.Config{RootCAs: roots(ca)}, true)), remote.WithJobs(3)}
	made, err := random.Image(2<<20, 3)
	must(err)
	must(remote.Write(ref, made, options...))
	back, err := remote.Image(ref, options...)
	must(err)
	layers, err := back.Layers()
	must(err)
	var came int64
	for _, layer := range layers {
		blob, err := layer.Compressed()
		must(err)
		// Its reader judges the digest at the end.
		n, err := io.Copy(io.Discard, blob)
		must(err)
		came += n
	}
	tags, err := remote.List(ref.Context(), options...)
	must(err)
	json.NewEncoder(os.Stdout).Encode(map[string]any{"pushed": digest(made), "pulled": digest(back), "bytes": came, "tags": tags})
}

func digest(it v1.Image) string {
	hash, err := it.Digest()
	must(err)
	return hash.String()
}
