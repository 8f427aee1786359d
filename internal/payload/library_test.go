package payload

import (
	"bytes"
	"io"
	"log"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // where the library tells of clashing names
	os.Exit(m.Run())
}

// byLibrary is what the library writes if values have an address.
func byLibrary(ptr any) ([]byte, error) {
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.SetSortMapKeys(true)
	err := enc.Encode(ptr)
	return buf.Bytes(), err
}

func TestWritesWhatTheLibraryWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 3)
		in := reflect.New(typ)
		filler{t, 1}.fill(in.Elem())
		want, err := byLibrary(in.Interface())
		if err != nil {
			t.Skip(err) // methods of pointers inside maps: the library does not find them, this package does
		}
		got, err := Marshal(in.Elem().Interface())
		require.NoError(t, err, "%v", typ)
		require.Equal(t, want, got, "%v %+v", typ, in.Elem())
	})
}

func TestReadsWhatTheLibraryReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 3)
		in := reflect.New(typ)
		filler{t, 3}.fill(in.Elem())
		data, err := byLibrary(in.Interface())
		if err != nil {
			t.Skip(err)
		}
		want, got := reflect.New(typ), reflect.New(typ)
		require.NoError(t, msgpack.Unmarshal(data, want.Interface()), "%v", typ)
		require.NoError(t, Unmarshal(data, got.Interface()), "%v", typ)
		require.Equal(t, want.Interface(), got.Interface(), "%v", typ)
	})
}
