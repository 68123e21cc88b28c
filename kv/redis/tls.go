package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

const maxPEM = 1 << 20 // bytes of a certificate file

// keepAlive is the driver's own: a peer that died silently is found out within a minute.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// dialer connects with TLS, with the files as they are at that moment; nil, the driver's own, where there is no TLS.
func (a *address) dialer(log *slog.Logger) (func(ctx context.Context, network, host string) (net.Conn, error), error) {
	if !a.tls {
		return nil, nil
	}
	books := &books{files: a.files, log: log}
	if err := books.read(); err != nil {
		return nil, err
	}
	timeout := a.timeout
	return func(ctx context.Context, network, host string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout) // of the handshake, too
		defer cancel()
		d := tls.Dialer{NetDialer: &net.Dialer{KeepAliveConfig: keepAlive()}, Config: books.current()}
		return d.DialContext(ctx, network, host)
	}, nil
}

// books are the certificate files. They are looked at for each new connection and read again when they have changed, so that a renewed
// certificate needs no restart. What cannot be used, because it is missing or half written, leaves the last good ones in use.
type books struct {
	files tlsFiles
	log   *slog.Logger

	mu     sync.Mutex
	config *tls.Config
	stamps [3]fs.FileInfo // of what config was made from: the authority's, the certificate's and the key's
	bad    bool           // what stands there now cannot be used, and the log says so
}

// current is what a new connection uses.
func (b *books) current() *tls.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.changed() {
		return b.config
	}
	err := b.read()
	switch {
	case err != nil && !b.bad:
		b.log.Warn("the cache's certificate files have changed and cannot be used: the last good ones stay in use", "error", err)
	case err == nil:
		b.log.Info("the cache's certificate files have changed: new connections use them")
	}
	b.bad = err != nil
	return b.config
}

func (b *books) changed() bool {
	for i, now := range b.look() {
		was := b.stamps[i]
		if (now == nil) != (was == nil) {
			return true
		}
		if now != nil && (!os.SameFile(now, was) || !now.ModTime().Equal(was.ModTime()) || now.Size() != was.Size()) {
			return true
		}
	}
	return false
}

// look gives nil for a file that has no name or is not there.
func (b *books) look() (stamps [3]fs.FileInfo) {
	for i, path := range []string{b.files.ca, b.files.cert, b.files.key} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			stamps[i] = info
		}
	}
	return stamps
}

// read changes nothing unless all is good. It looks before it reads: a file that changes between the two is read again next time.
func (b *books) read() error {
	stamps := b.look()
	config, err := b.files.config()
	if err == nil {
		b.config, b.stamps = config, stamps
	}
	return err
}

func (f tlsFiles) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.serverName}
	if f.ca != "" {
		pem, err := readPEM(f.ca)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca_file: holds no certificate")
		}
	}
	if f.cert == "" {
		return c, nil
	}
	cert, err := readPEM(f.cert)
	if err != nil {
		return nil, fmt.Errorf("cert_file: %w", err)
	}
	key, err := readPEM(f.key)
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, errors.New("cert_file and key_file: are no certificate and its key")
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// readPEM gives the cause without the path, which came out of a text that holds a password.
func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxPEM))
	if err != nil {
		return nil, cause(err)
	}
	return pem, nil
}

func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
