package docs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/outbox"
)

func TestTheTablesAreThoseOfThePages(t *testing.T) {
	var guards []string
	for _, dialect := range []barrier.Dialect{barrier.PostgreSQL, barrier.SQLite} {
		text, err := barrier.Schema(dialect)
		require.NoError(t, err)
		guards = append(guards, text)
	}
	assert.Equal(t, guards, blocks(read(t, "docs/barrier.md"), "sql"))
	text, err := outbox.Schema(outbox.PostgreSQL)
	require.NoError(t, err)
	assert.Equal(t, []string{text}, blocks(read(t, "docs/outbox.md"), "sql"))
}
