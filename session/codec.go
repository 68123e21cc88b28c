package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"
)

// The packed form of a session, sealed by seal.go. Numbers are unsigned varints, strings and byte runs carry their length.
//
//	1 B   format version
//	4 B   checksum of the dictionary
//	16 B  ID
//	      started, life, seen-started, generation, issued-started, expires-issued, in seconds
//	      binary run: what does not compress (signatures, the refresh token's ciphertext)
//	      UUID run:   see uuid.go
//	      deflated:   access, refresh and ID token, nonce, scope, subject, provider's session, claims
//
// The runs are apart because deflating random bytes costs time and spoils the codes of the text beside it.
//
// Without life it is version 1, which is still read. Version 2 never was: a ticket begins so.
const (
	formatVersion  = 3
	formatLifeless = 1
)

// maxInflated bounds what a sealed cookie may unfold to. Only our own seal gets this far; the bound is for our mistakes.
const maxInflated = 128 << 10

// deflateLevel: on a Cognito session the higher levels save no byte and take half as long again.
const deflateLevel = 6

var errFormat = errors.New("session: unknown format")

// codec packs sessions. The dictionary is text that sessions of this configuration are expected to contain; a session packed
// with another dictionary belongs to another provider or client and is of an unknown format.
type codec struct {
	dictionary []byte
	checksum   uint32
	writers    sync.Pool // of *flate.Writer
	unfolders  sync.Pool // of *unfolder
}

// unfolder is what unpacking needs each time and allocates once: the decoder's window alone is 32 kB.
type unfolder struct {
	source  bytes.Reader
	decoder interface {
		io.Reader
		flate.Resetter
	}
	limited  io.LimitedReader
	text     bytes.Buffer
	unfolded []byte
	strings  []byte
}

// newCodec makes the dictionary from the parts of the configuration that a session cannot outlive: change the issuer or the
// client and every token in the cookie is void anyway.
func newCodec(issuer, clientID string) *codec {
	d := dictionary(issuer, clientID)
	c := &codec{dictionary: d, checksum: crc32.ChecksumIEEE(d)}
	c.writers.New = func() any {
		w, err := flate.NewWriterDict(io.Discard, deflateLevel, c.dictionary)
		if err != nil {
			panic("session: " + err.Error()) // only a wrong level makes it fail
		}
		return w
	}
	c.unfolders.New = func() any {
		f := &unfolder{}
		f.decoder = flate.NewReaderDict(&f.source, c.dictionary).(interface {
			io.Reader
			flate.Resetter
		})
		return f
	}
	return c
}

// pack gives a session's packed form; ErrTooLarge for one that unpack would refuse to unfold.
func (c *codec) pack(s *Session) ([]byte, error) {
	out := make([]byte, 0, 4096)
	out = append(out, formatVersion)
	out = binary.BigEndian.AppendUint32(out, c.checksum)
	out = append(out, s.ID[:]...)
	started := max(0, s.Started.Unix())
	out = binary.AppendUvarint(out, uint64(started))
	issued := max(started, s.Tokens.Issued.Unix()) // a token received before the session began must not seem to live longer
	for _, n := range []int64{
		int64(s.life / time.Second), s.Seen.Unix() - started, int64(s.Generation), issued - started, s.Tokens.Expires.Unix() - issued,
	} {
		out = binary.AppendUvarint(out, uint64(min(max(0, n), math.MaxInt32))) // what unpack takes
	}
	var binaryRun, text []byte
	for _, token := range []string{s.Tokens.AccessToken, s.Tokens.RefreshToken, s.Tokens.IDToken} {
		text, binaryRun = packToken(text, binaryRun, token)
	}
	for _, v := range []string{s.Tokens.Nonce, s.Tokens.Scope, s.Tokens.Subject, s.Tokens.ProviderID} {
		text = appendRun(text, v)
	}
	text = appendRun(text, s.Tokens.Claims)
	folded, uuids := foldUUIDs(text)
	if n := max(len(text), len(folded)) + len(binaryRun); n > maxInflated {
		return nil, fmt.Errorf("%w: %d bytes unpacked", ErrTooLarge, n)
	}
	return c.deflate(appendRun(appendRun(out, binaryRun), uuids), folded), nil
}

func (c *codec) deflate(out, text []byte) []byte {
	w := c.writers.Get().(*flate.Writer)
	defer c.writers.Put(w)
	b := bytes.NewBuffer(out)
	w.Reset(b) // keeps the dictionary
	_, _ = w.Write(text)
	_ = w.Close() // a bytes.Buffer takes everything
	return b.Bytes()
}

// unpack is the inverse of pack; errFormat for anything pack did not make with the same dictionary.
func (c *codec) unpack(b []byte) (*Session, error) {
	if len(b) < 21 || (b[0] != formatVersion && b[0] != formatLifeless) || binary.BigEndian.Uint32(b[1:]) != c.checksum {
		return nil, errFormat
	}
	s := &Session{ID: ID(b[5:21])}
	r := reader{b: b[21:]}
	s.Started = time.Unix(r.seconds(), 0)
	if b[0] != formatLifeless {
		s.life = r.duration()
	}
	s.Seen = s.Started.Add(r.duration())
	s.Generation = uint32(r.number(math.MaxInt32))
	s.Tokens.Issued = s.Started.Add(r.duration())
	s.Tokens.Expires = s.Tokens.Issued.Add(r.duration())
	run := reader{b: r.run()}
	uuids := r.run()
	if r.bad {
		return nil, errFormat
	}
	f := c.unfolders.Get().(*unfolder)
	defer c.unfolders.Put(f)
	if err := c.inflate(f, r.b); err != nil {
		return nil, err
	}
	var ok bool
	if f.unfolded, ok = unfoldUUIDs(f.unfolded[:0], f.text.Bytes(), uuids); !ok {
		return nil, errFormat
	}
	t := reader{b: f.unfolded}
	f.unpackStrings(&s.Tokens, &t, &run)
	if claims := t.run(); len(claims) > 0 {
		s.Tokens.Claims = bytes.Clone(claims)
	}
	if t.bad || run.bad || len(t.b) > 0 || len(run.b) > 0 {
		return nil, errFormat
	}
	return s, nil
}

// inflate leaves the text in f.
func (c *codec) inflate(f *unfolder, b []byte) error {
	f.source.Reset(b)
	f.text.Reset()
	if err := f.decoder.Reset(&f.source, c.dictionary); err != nil {
		return errFormat
	}
	f.limited = io.LimitedReader{R: f.decoder, N: maxInflated + 1}
	if n, err := f.text.ReadFrom(&f.limited); err != nil || n > maxInflated {
		return errFormat
	}
	return nil
}

// unpackStrings cuts all strings of a session from one: they live and die together, and one allocation is cheaper than six.
func (f *unfolder) unpackStrings(tokens *Tokens, text, run *reader) {
	fields := [...]*string{
		&tokens.AccessToken, &tokens.RefreshToken, &tokens.IDToken, &tokens.Nonce,
		&tokens.Scope, &tokens.Subject, &tokens.ProviderID,
	}
	all := f.strings[:0]
	var ends [len(fields)]int
	for i := range fields {
		if i < 3 {
			all = appendToken(all, text, run)
		} else {
			all = append(all, text.run()...)
		}
		ends[i] = len(all)
	}
	f.strings = all
	one, from := string(all), 0
	for i, field := range fields {
		*field = one[from:ends[i]]
		from = ends[i]
	}
}
