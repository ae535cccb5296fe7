// Go's crypto/x509 as a verifier of certificates: `verify ROOTS CHAIN USE NAME...` says what it minds about each name, a line each.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func verify(roots, chain, use string, names []string) {
	trusted, between := x509.NewCertPool(), x509.NewCertPool()
	for _, it := range certificates(roots) {
		trusted.AddCert(it)
	}
	them := certificates(chain)
	for _, it := range them[1:] {
		between.AddCert(it)
	}
	usage := x509.ExtKeyUsageServerAuth
	if use == "client" {
		usage = x509.ExtKeyUsageClientAuth
	}
	for _, name := range names {
		// A name of another kind than a host's or an address is compared by who verifies a SPIFFE ID.
		options := x509.VerifyOptions{Roots: trusted, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}
		if !isURI(name, them[0]) {
			options.DNSName = name
		}
		if _, err := them[0].Verify(options); err != nil {
			fmt.Println(name, err)
		} else {
			fmt.Println(name, "ok")
		}
	}
}

func isURI(name string, it *x509.Certificate) bool {
	for _, uri := range it.URIs {
		if uri.String() == name {
			return true
		}
	}
	return false
}

func certificates(path string) []*x509.Certificate {
	data, err := os.ReadFile(path)
	must(err)
	var found []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		it, err := x509.ParseCertificate(block.Bytes)
		must(err)
		found = append(found, it)
	}
	return found
}
