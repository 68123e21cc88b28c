package static_test

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"vestibule/static"
)

func newAssets(t testing.TB, c static.Config) *static.Assets {
	t.Helper()
	a, err := static.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ask sends one request; header is a list of names and values.
func ask(a *static.Assets, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://example.com/", nil)
	r.URL.Path = path
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func TestServeAnswersByName(t *testing.T) {
	a := newAssets(t, static.Config{Prefix: "/door/static/"})
	const year, anew, never = "public, max-age=31536000, immutable", "no-cache", "no-store"
	tests := map[string]struct {
		method, path       string
		status             int
		contentType, cache string
	}{
		"a hashed style sheet is kept for a year":        {"GET", a.Path("app.css"), 200, "text/css; charset=utf-8", year},
		"a hashed script is kept for a year":             {"GET", a.Path("demo.js"), 200, "text/javascript; charset=utf-8", year},
		"the hashed browser helper is kept for a year":   {"GET", a.Path("client.js"), 200, "text/javascript; charset=utf-8", year},
		"the stable one is asked for anew":               {"GET", "/door/static/client.js", 200, "text/javascript; charset=utf-8", anew},
		"its types are for the package only":             {"GET", "/door/static/client.d.ts", 404, "text/plain; charset=utf-8", never},
		"the package's description is not an asset":      {"GET", "/door/static/package.json", 404, "text/plain; charset=utf-8", never},
		"a hashed drawing is kept for a year":            {"GET", a.Path("mark.svg"), 200, "image/svg+xml", year},
		"the generated sheet has a hash like the others": {"GET", a.Path("brand.css"), 200, "text/css; charset=utf-8", year},
		"a plain name is asked for anew":                 {"GET", "/door/static/app.css", 200, "text/css; charset=utf-8", anew},
		"HEAD is answered as GET":                        {"HEAD", a.Path("app.css"), 200, "text/css; charset=utf-8", year},
		"POST is refused":                                {"POST", a.Path("app.css"), 405, "text/plain; charset=utf-8", never},
		"an unknown name is not found":                   {"GET", "/door/static/app.php", 404, "text/plain; charset=utf-8", never},
		"a hash of another build is the file of this":    {"GET", "/door/static/app.0000000000000000.css", 200, "text/css; charset=utf-8", anew},
		"HEAD with a hash of another build":              {"HEAD", "/door/static/demo.0000000000000000.js", 200, "text/javascript; charset=utf-8", anew},
		"POST with a hash of another build is refused":   {"POST", "/door/static/app.0000000000000000.css", 405, "text/plain; charset=utf-8", never},
		"a hash that is too short is not found":          {"GET", "/door/static/app.00000000000000.css", 404, "text/plain; charset=utf-8", never},
		"a hash that is too long is not found":           {"GET", "/door/static/app.000000000000000000.css", 404, "text/plain; charset=utf-8", never},
		"a hash that is none is not found":               {"GET", "/door/static/app.000000000000000g.css", 404, "text/plain; charset=utf-8", never},
		"a hash on a name that is not ours is not found": {"GET", "/door/static/nope.0000000000000000.css", 404, "text/plain; charset=utf-8", never},
		"a hash on a hashed name is not found":           {"GET", "/door/static/app.0000000000000000.0000000000000000.css", 404, "text/plain; charset=utf-8", never},
		"a hash alone is not found":                      {"GET", "/door/static/.0000000000000000.css", 404, "text/plain; charset=utf-8", never},
		"a hash without an extension is not found":       {"GET", "/door/static/app.0000000000000000", 404, "text/plain; charset=utf-8", never},
		"the folder is not listed":                       {"GET", "/door/static/", 404, "text/plain; charset=utf-8", never},
		"the folder's name is not found":                 {"GET", "/door/static", 404, "text/plain; charset=utf-8", never},
		"a name outside the prefix is not found":         {"GET", "/app.css", 404, "text/plain; charset=utf-8", never},
		"source files are not assets":                    {"GET", "/door/static/static.go", 404, "text/plain; charset=utf-8", never},
		"a path cannot climb":                            {"GET", "/door/static/../static/app.css", 404, "text/plain; charset=utf-8", never},
		"a path cannot climb with a backslash":           {"GET", `/door/static/..\app.css`, 404, "text/plain; charset=utf-8", never},
		"a path cannot hide behind a dot":                {"GET", "/door/static/./app.css", 404, "text/plain; charset=utf-8", never},
		"a nul changes the name":                         {"GET", "/door/static/app.css\x00", 404, "text/plain; charset=utf-8", never},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ask(a, tt.method, tt.path)
			h := w.Header()
			if got, want := w.Code, tt.status; got != want {
				t.Errorf("status: got %d, want %d", got, want)
			}
			if got, want := h.Get("Content-Type"), tt.contentType; got != want {
				t.Errorf("Content-Type: got %q, want %q", got, want)
			}
			if got, want := h.Get("Cache-Control"), tt.cache; got != want {
				t.Errorf("Cache-Control: got %q, want %q", got, want)
			}
			if got, want := h.Get("X-Content-Type-Options"), "nosniff"; got != want {
				t.Errorf("X-Content-Type-Options: got %q, want %q", got, want)
			}
			if tt.status == 405 && h.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow: got %q, want %q", h.Get("Allow"), "GET, HEAD")
			}
		})
	}
}

// During a rolling deploy a page of the older build may ask a replica of the newer one, and the other way round.
func TestTheHashOfAnotherBuildGivesTheCurrentFileWithItsOwnETag(t *testing.T) {
	a := newAssets(t, static.Config{})
	current, other := ask(a, "GET", a.Path("app.css")), ask(a, "GET", "/static/app.0000000000000000.css")
	if got, want := other.Body.String(), current.Body.String(); got != want {
		t.Errorf("got %d bytes, want the %d of the current file", len(got), len(want))
	}
	if got, want := other.Header().Get("ETag"), current.Header().Get("ETag"); got != want || want == "" {
		t.Errorf("ETag: got %q, want %q", got, want)
	}
}

func TestHeadSaysWhatGetWouldSend(t *testing.T) {
	a := newAssets(t, static.Config{})
	get, head := ask(a, "GET", a.Path("app.css")), ask(a, "HEAD", a.Path("app.css"))
	if head.Body.Len() != 0 {
		t.Errorf("HEAD: got a body of %d bytes, want none", head.Body.Len())
	}
	for _, name := range []string{"Content-Length", "Content-Type", "ETag", "Vary", "Cache-Control"} {
		if got, want := head.Header().Get(name), get.Header().Get(name); got != want || want == "" {
			t.Errorf("%s: got %q from HEAD, want %q as from GET", name, got, want)
		}
	}
	if got, want := get.Header().Get("Content-Length"), strconv.Itoa(get.Body.Len()); got != want {
		t.Errorf("Content-Length: got %s, want %s", got, want)
	}
}

func TestGzipIsSentOnlyToWhoAcceptsIt(t *testing.T) {
	a := newAssets(t, static.Config{})
	plain := ask(a, "GET", a.Path("app.css"))
	tests := map[string]struct {
		accept []string
		zipped bool
	}{
		"nothing said":                      {nil, false},
		"browsers":                          {[]string{"gzip, deflate, br, zstd"}, true},
		"its old name":                      {[]string{"x-gzip"}, true},
		"in capitals":                       {[]string{"GZIP"}, true},
		"anything":                          {[]string{"*"}, true},
		"refused":                           {[]string{"gzip;q=0"}, false},
		"refused with spaces":               {[]string{"gzip ; q = 0.000 , br"}, false},
		"refused though anything goes":      {[]string{"*, gzip;q=0"}, false},
		"wanted though nothing else goes":   {[]string{"gzip;q=0.5, *;q=0"}, true},
		"another coding only":               {[]string{"br"}, false},
		"a weight that cannot be read":      {[]string{"gzip;q=yes"}, false},
		"a weight that is no number":        {[]string{"gzip;q=NaN"}, false},
		"named on a second line":            {[]string{"br", "gzip"}, true},
		"a coding that begins like it":      {[]string{"gzipped"}, false},
		"identity, with anything forbidden": {[]string{"identity, *;q=0"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var header []string
			for _, line := range tt.accept {
				header = append(header, "Accept-Encoding", line)
			}
			w := ask(a, "GET", a.Path("app.css"), header...)
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != tt.zipped {
				t.Fatalf("gzip: got %v, want %v", got, tt.zipped)
			}
			if got, want := w.Header().Get("Vary"), "Accept-Encoding"; got != want {
				t.Errorf("Vary: got %q, want %q", got, want)
			}
			if got, want := w.Header().Get("Content-Length"), strconv.Itoa(w.Body.Len()); got != want {
				t.Errorf("Content-Length: got %s, want %s", got, want)
			}
			if got := w.Header().Get("ETag") == plain.Header().Get("ETag"); got == tt.zipped {
				t.Errorf("ETag %s: the two encodings must have different ones", w.Header().Get("ETag"))
			}
			if !bytes.Equal(body(t, w), plain.Body.Bytes()) {
				t.Error("the content differs from the plain one")
			}
		})
	}
}

// body undoes gzip where it was used.
func body(t *testing.T, w *httptest.ResponseRecorder) []byte {
	t.Helper()
	var from io.Reader = bytes.NewReader(w.Body.Bytes())
	if w.Header().Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(from)
		if err != nil {
			t.Fatal(err)
		}
		from = unzipped
	}
	content, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAFileTheBrowserHoldsIsNotSentAgain(t *testing.T) {
	a := newAssets(t, static.Config{})
	path := "/static/app.css"
	plain := ask(a, "GET", path).Header().Get("ETag")
	zipped := ask(a, "GET", path, "Accept-Encoding", "gzip").Header().Get("ETag")
	tests := map[string]struct {
		header []string
		status int
	}{
		"the same":                      {[]string{"If-None-Match", plain}, 304},
		"the same, weakened by a proxy": {[]string{"If-None-Match", "W/" + plain}, 304},
		"one of a list":                 {[]string{"If-None-Match", `"x", ` + plain + `,"y"`}, 304},
		"on a second line":              {[]string{"If-None-Match", `"x"`, "If-None-Match", plain}, 304},
		"any":                           {[]string{"If-None-Match", "*"}, 304},
		"another":                       {[]string{"If-None-Match", `"x"`}, 200},
		"unquoted":                      {[]string{"If-None-Match", strings.Trim(plain, `"`)}, 200},
		"the encoded one, still wanted": {[]string{"If-None-Match", zipped, "Accept-Encoding", "gzip"}, 304},
		"the encoded one, plain wanted": {[]string{"If-None-Match", zipped}, 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ask(a, "GET", path, tt.header...)
			if got, want := w.Code, tt.status; got != want {
				t.Fatalf("status: got %d, want %d", got, want)
			}
			if tt.status != http.StatusNotModified {
				return
			}
			if w.Body.Len() != 0 || w.Header().Get("Content-Encoding") != "" {
				t.Errorf("304: got %d bytes, encoding %q, want neither", w.Body.Len(), w.Header().Get("Content-Encoding"))
			}
			if w.Header().Get("ETag") == "" || w.Header().Get("Cache-Control") != "no-cache" {
				t.Errorf("304: got headers %v, want ETag and Cache-Control as with 200", w.Header())
			}
		})
	}
}

func TestNewRefusesWhatItCannotServe(t *testing.T) {
	tests := map[string]struct {
		config static.Config
		want   error
	}{
		"a prefix without a slash in front":   {static.Config{Prefix: "static/"}, static.ErrPrefix},
		"a prefix without a slash at the end": {static.Config{Prefix: "/static"}, static.ErrPrefix},
		"a prefix that is another host":       {static.Config{Prefix: "//evil.example/"}, static.ErrPrefix},
		"a colour by name":                    {static.Config{Accent: "teal"}, static.ErrColour},
		"a colour without its sign":           {static.Config{Accent: "0b6b5d"}, static.ErrColour},
		"a colour with transparency":          {static.Config{Accent: "#0b6b5dff"}, static.ErrColour},
		"a colour that leaves its rule":       {static.Config{Accent: "#fff;}b{"}, static.ErrColour},
		"a colour with a sign in it":          {static.Config{Accent: "#+12345"}, static.ErrColour},
		"a colour of one letter of 3 bytes":   {static.Config{Accent: "#日"}, static.ErrColour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := static.New(tt.config); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPathPanicsForAnUnknownName(t *testing.T) {
	a := newAssets(t, static.Config{})
	defer func() {
		if recover() == nil {
			t.Error("got a path, want a panic")
		}
	}()
	a.Path("app.scss")
}

func TestOnlyWhatTheAccentDecidesChangesItsName(t *testing.T) {
	one, other := newAssets(t, static.Config{Accent: "#0a0"}), newAssets(t, static.Config{Accent: "#00aa01"})
	for name, want := range map[string]bool{"brand.css": true, "mark.svg": true, "app.css": false, "demo.css": false, "demo.js": false} {
		if got := one.Path(name) != other.Path(name); got != want {
			t.Errorf("%s has another name for another accent: got %v, want %v", name, got, want)
		}
	}
	if short, long := one, newAssets(t, static.Config{Accent: "#00AA00"}); short.Path("brand.css") != long.Path("brand.css") {
		t.Error("#0a0 and #00AA00 are one colour, and made two files")
	}
}

func TestTheMarkWearsTheAccent(t *testing.T) {
	a := newAssets(t, static.Config{Accent: "#ffff00"})
	drawing := ask(a, "GET", a.Path("mark.svg")).Body.String()
	var parsed struct{ XMLName xml.Name }
	if err := xml.Unmarshal([]byte(drawing), &parsed); err != nil || parsed.XMLName.Local != "svg" {
		t.Fatalf("got <%s>, %v, want a well-formed svg", parsed.XMLName.Local, err)
	}
	for colour, want := range map[string]bool{"#ffff00": true, "#000000": true, static.DefaultAccent: false, "#ffffff": false} {
		if got := strings.Contains(drawing, colour); got != want {
			t.Errorf("%s in the mark: got %v, want %v", colour, got, want)
		}
	}
}

// The policy of the pages would block these in a browser; here they fail before one is started.
func TestAssetsReachForNothingElse(t *testing.T) {
	a := newAssets(t, static.Config{})
	forbidden := regexp.MustCompile(`url\(|@import|https?://|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Storage|\.style\b`)
	for _, name := range []string{"app.css", "brand.css", "client.js", "demo.css", "demo.js", "demo-channel.js", "demo-chat.js", "demo-log.js", "demo-token.js"} {
		if found := forbidden.FindString(ask(a, "GET", a.Path(name)).Body.String()); found != "" {
			t.Errorf("%s holds %q", name, found)
		}
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip, deflate, br", "*;q=0, gzip;q=1.0", ";;==,,", "gzip;q", "\x00"} {
		f.Add(seed, `"x"`)
	}
	a := newAssets(f, static.Config{})
	f.Fuzz(func(t *testing.T, accept, match string) {
		w := ask(a, "GET", a.Path("app.css"), "Accept-Encoding", accept, "If-None-Match", match)
		zipped := w.Header().Get("Content-Encoding") == "gzip"
		if zipped && !strings.Contains(strings.ToLower(accept), "gzip") && !strings.Contains(accept, "*") {
			t.Errorf("gzip sent to %q", accept)
		}
		if w.Code != http.StatusOK && w.Code != http.StatusNotModified {
			t.Errorf("status: got %d, want 200 or 304", w.Code)
		}
	})
}

func BenchmarkServe(b *testing.B) {
	a := newAssets(b, static.Config{})
	r := httptest.NewRequest("GET", a.Path("app.css"), nil)
	r.Header.Set("Accept-Encoding", "gzip, deflate, br")
	b.ReportAllocs()
	for b.Loop() {
		a.ServeHTTP(httptest.NewRecorder(), r)
	}
}
