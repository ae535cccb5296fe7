// plain is Coraza as its own module puts it before a handler, with the same rules, before Go's reverse proxy: whom the bench of
// inspecting measures beside the edge. Nothing else uses it.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	txhttp "github.com/corazawaf/coraza/v3/http"
)

func main() {
	listen := flag.String("listen", "", "address and port, with inspecting")
	uninspected := flag.String("uninspected", "", "address and port, without")
	to := flag.String("to", "", "the backend's URL")
	chain, key := flag.String("chain", "", "a file of PEM"), flag.String("key", "", "a file of PEM")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	backend, err := url.Parse(*to)
	if err != nil {
		log.Fatal(err)
	}
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).
		WithDirectivesFromFile("@coraza.conf-recommended").
		WithDirectives("SecRuleEngine On\nSecAuditEngine Off\nSecResponseBodyAccess Off").
		WithDirectivesFromFile("@crs-setup.conf.example").
		WithDirectivesFromFile("@owasp_crs/REQUEST-*.conf"))
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(it *httputil.ProxyRequest) { it.SetURL(backend); it.Out.Host = it.In.Host },
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024},
	}
	go func() { log.Fatal(http.ListenAndServeTLS(*uninspected, *chain, *key, proxy)) }()
	log.Fatal(http.ListenAndServeTLS(*listen, *chain, *key, txhttp.WrapHandler(waf, proxy)))
}
