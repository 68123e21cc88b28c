package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/redis/redistest"
)

// authority signs certificates for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue makes a certificate for a name, or for 127.0.0.1 where there is none, and its key.
func (a *authority) issue(name string) (cert, key []byte) {
	a.t.Helper()
	own := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if name == "" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serve runs a server whose certificate is for name; clients: whether it asks for theirs.
func (a *authority) serve(name, clients string) *redistest.Server {
	a.t.Helper()
	cert, key := a.issue(name)
	clientCert, clientKey := a.issue("client")
	return redistest.Start(a.t, redistest.Config{
		TLS:   true,
		Lines: []string{"tls-cert-file {dir}/cert", "tls-key-file {dir}/key", "tls-ca-cert-file {dir}/ca", "tls-auth-clients " + clients},
		Files: map[string][]byte{"ca": a.pem, "cert": cert, "key": key, "client-cert": clientCert, "client-key": clientKey},
	})
}

func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	server, stranger, named, strict := a.serve("", "no"), other.serve("", "no"), a.serve("cache.example.com", "no"), a.serve("", "yes")
	ca := "ca_file=" + filepath.Join(server.Dir, "ca")
	own := "&cert_file=" + filepath.Join(strict.Dir, "client-cert") + "&key_file=" + filepath.Join(strict.Dir, "client-key")
	for name, test := range map[string]struct {
		url  string
		good bool
	}{
		"the authority is ours":               {"rediss://" + server.Addr() + "?" + ca, true},
		"the authority is in no book":         {"rediss://" + server.Addr() + "?pool_size=1", false},
		"another authority signed":            {"rediss://" + stranger.Addr() + "?" + ca, false},
		"the certificate is for another name": {"rediss://" + named.Addr() + "?" + ca, false},
		"the name is the one we were told":    {"rediss://" + named.Addr() + "?server_name=cache.example.com&" + ca, true},
		"the server does not speak TLS to us": {"redis://" + server.Addr() + "?pool_size=1", false},
		"the server asks who we are":          {"rediss://" + strict.Addr() + "?" + ca, false},
		"the server asks and we can prove it": {"rediss://" + strict.Addr() + "?" + ca + own, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, test.url+"&"+patient)
			_, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute, If: kv.Any})
			if good := err == nil; good != test.good {
				t.Errorf("put: %v, want success %v", err, test.good)
			}
		})
	}
}
