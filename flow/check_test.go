package flow

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/step"
)

// zero parts of every kind
var (
	noStep   step.Step[string, string]
	noFlow   Flow[string, string]
	noChild  ChildSaga[string, string]
	noSignal Signal[int]
	nilStep  *step.Step[string, string]
	long256  = strings.Repeat("n", 256)
)

type lossy struct{ hidden int }

func toLossy(string) lossy { return lossy{1} }

func TestMistakesPanicWhereTheFlowIsDefined(t *testing.T) {
	other := New[string]("other").Then(a)
	turning := New[string]("turning").Then(pivot)
	for name, tt := range map[string]struct {
		define func()
		want   string
	}{
		// names
		"empty name":        {func() { New[string]("") }, `New(""): it is empty`},
		"long name":         {func() { New[string](long256) }, `New("` + long256 + `"): it has 256 bytes, more than 255`},
		"slash in If":       {func() { begin.If("a/b", isX, a, b) }, `"f".If("a/b"): it contains '/', which paths are made with`},
		"name of When":      {func() { begin.When("", isX, a) }, `"f".When: it is empty`},
		"name of Switch":    {func() { begin.Switch("#", itself, Default(a)) }, `"f".Switch("#"): it contains '#', which paths are made with`},
		"name of Both":      {func() { begin.Both("[", a, b, join3) }, `"f".Both("["): it contains '[', which paths are made with`},
		"name of All3":      {func() { begin.All3("]", a, b, c, join4) }, `"f".All3("]"): it contains ']', which paths are made with`},
		"name of Each":      {func() { begin.Each("~", lens, double, joinEach) }, `"f".Each("~"): it contains '~', which paths are made with`},
		"name of Race":      {func() { begin.Race("\n", a, b) }, `"f".Race("\n"): it contains U+000A, which cannot be printed`},
		"name of Loop":      {func() { begin.Loop("\xff", 1, a, isX) }, `"f".Loop("\xff"): it is not valid UTF-8`},
		"name of Delay":     {func() { begin.Delay("a/b", minute) }, `"f".Delay("a/b"): it contains '/', which paths are made with`},
		"name of a signal":  {func() { NewSignal[int]("a/b") }, `NewSignal("a/b"): it contains '/', which paths are made with`},
		"alias of a signal": {func() { sig.As("") }, `Signal "sig".As(""): it is empty`},
		"alias of a flow":   {func() { other.As("/") }, `"other".As("/"): it contains '/', which paths are made with`},
		"alias of a child":  {func() { Child(other).As("/") }, `Child "other".As("/"): it contains '/', which paths are made with`},

		// functions
		"Also without join":    {func() { begin.Also(a, (func(string, string) string)(nil)) }, `"f".Also: join is nil: give it a function`},
		"Use without in":       {func() { begin.Use(a, nil, join2) }, `"f".Use: in is nil: give it a function`},
		"Use without out":      {func() { begin.Use(a, itself, (func(string, string) string)(nil)) }, `"f".Use: out is nil: give it a function`},
		"Map without pure":     {func() { begin.Map((func(string) string)(nil)) }, `"f".Map: the function is nil: give it a function`},
		"If without cond":      {func() { begin.If("x", nil, a, b) }, `"f".If("x"): cond is nil: give it a function`},
		"When without cond":    {func() { begin.When("x", nil, a) }, `"f".When("x"): cond is nil: give it a function`},
		"Switch without key":   {func() { begin.Switch("x", nil, Default(a)) }, `"f".Switch("x"): key is nil: give it a function`},
		"Both without join":    {func() { begin.Both("x", a, b, (func(x, y, z string) string)(nil)) }, `"f".Both("x"): join is nil: give it a function`},
		"All3 without join":    {func() { begin.All3("x", a, b, c, (func(w, x, y, z string) string)(nil)) }, `"f".All3("x"): join is nil: give it a function`},
		"Each without items":   {func() { begin.Each("x", nil, double, joinEach) }, `"f".Each("x"): items is nil: give it a function`},
		"Each without join":    {func() { begin.Each("x", lens, double, (func(string, []int) string)(nil)) }, `"f".Each("x"): join is nil: give it a function`},
		"Loop without until":   {func() { begin.Loop("x", 1, a, nil) }, `"f".Loop("x"): until is nil: give it a function`},
		"Delay without d":      {func() { begin.Delay("x", nil) }, `"f".Delay("x"): d is nil: give it a function`},
		"Wait without join":    {func() { begin.Wait(sig, (func(string, int) string)(nil)) }, `"f".Wait("sig"): join is nil: give it a function`},
		"WaitFor without join": {func() { begin.WaitFor(sig, time.Hour, nil, a) }, `"f".WaitFor("sig"): join is nil: give it a function`},

		// parts
		"nil part":             {func() { begin.Then(Part[string, string](nil)) }, `"f".Then: the part is nil: give it a step or a flow`},
		"nil pointer":          {func() { begin.Then(nilStep) }, `"f".Then: the part is nil: give it a step or a flow`},
		"zero step":            {func() { begin.Then(noStep) }, `"f".Then: the part is a zero step.Step[string,string]: make it with step.New, flow.New or flow.Child`},
		"zero flow":            {func() { begin.Also(noFlow, join2) }, `"f".Also: the part is a zero flow.Flow[string,string]: make it with step.New, flow.New or flow.Child`},
		"zero child":           {func() { begin.Use(noChild, itself, join2) }, `"f".Use: the part is a zero flow.ChildSaga[string,string]: make it with step.New, flow.New or flow.Child`},
		"first arm of If":      {func() { begin.If("x", isX, nil, a) }, `"f".If("x"): the part for true is nil: give it a step or a flow`},
		"second arm of If":     {func() { begin.If("x", isX, a, nil) }, `"f".If("x"): the part for false is nil: use When for a part that may be left out`},
		"nil When":             {func() { begin.When("x", isX, nil) }, `"f".When("x"): the part is nil: give it a step or a flow`},
		"nil Case":             {func() { begin.Switch("x", itself, Case[string, string]("eu", nil)) }, `"f".Switch("x"): the part of Case "eu" is nil: give it a step or a flow`},
		"nil Default":          {func() { begin.Switch("x", itself, Default[string, string](nil)) }, `"f".Switch("x"): the part of Default is nil: give it a step or a flow`},
		"nil in Both":          {func() { begin.Both("x", a, Part[string, string](nil), join3) }, `"f".Both("x"): the second part is nil: give it a step or a flow`},
		"nil in All3":          {func() { begin.All3("x", a, b, Part[string, string](nil), join4) }, `"f".All3("x"): the third part is nil: give it a step or a flow`},
		"nil in Each":          {func() { begin.Each("x", lens, Part[int, int](nil), joinEach) }, `"f".Each("x"): the part is nil: give it a step or a flow`},
		"nil in Race":          {func() { begin.Race("x", a, b, nil) }, `"f".Race("x"): competitor 3 is nil: give it a step or a flow`},
		"nil body":             {func() { begin.Loop("x", 1, nil, isX) }, `"f".Loop("x"): the body is nil: give it a step or a flow`},
		"nil late":             {func() { begin.WaitFor(sig, time.Hour, received, nil) }, `"f".WaitFor("sig"): the late part is nil: give it a step or a flow`},
		"zero signal":          {func() { begin.Wait(noSignal, received) }, `"f".Wait: the signal is a zero Signal: make it with flow.NewSignal`},
		"zero signal, limited": {func() { begin.WaitFor(noSignal, time.Hour, received, a) }, `"f".WaitFor: the signal is a zero Signal: make it with flow.NewSignal`},
		"zero signal renamed":  {func() { noSignal.As("x") }, `Signal "".As("x"): the signal is a zero Signal: make it with flow.NewSignal`},

		// zero flows
		"Then on a zero flow":     {func() { noFlow.Then(a) }, `Then on a zero flow.Flow[string,string]: make it with flow.New`},
		"Deadline on a zero flow": {func() { noFlow.Deadline(time.Hour) }, `Deadline(1h0m0s) on a zero flow.Flow[string,string]: make it with flow.New`},
		"Steps of a zero flow":    {func() { noFlow.Steps() }, `Steps on a zero flow.Flow[string,string]: make it with flow.New`},
		"Child of a zero flow":    {func() { Child(noFlow) }, `Child of a zero flow.Flow[string,string]: make it with flow.New`},
		"zero child renamed":      {func() { noChild.As("x") }, `As on a zero flow.ChildSaga[string,string]: make it with flow.Child`},

		// numbers
		"no round":        {func() { begin.Loop("x", 0, a, isX) }, `"f".Loop("x"): max is 0: at least one round runs`},
		"Parallel(0)":     {func() { begin.Each("x", lens, double, joinEach, Parallel(0)) }, `"f".Each("x"): Parallel(0): at least one item runs at a time`},
		"no time":         {func() { begin.Deadline(0) }, `"f".Deadline(0s): a saga needs time`},
		"version 0":       {func() { begin.Version(0) }, `"f".Version(0): versions count from 1`},
		"no time to wait": {func() { begin.WaitFor(sig, 0, received, a) }, `"f".WaitFor("sig"): within is 0s: it must be positive`},

		// arms
		"Switch without arms":            {func() { begin.Switch[string]("x", itself) }, `"f".Switch("x"): there is no arm: give it a flow.Case or a flow.Default`},
		"two Cases":                      {func() { begin.Switch("x", itself, Case("eu", a), Case("eu", b)) }, `"f".Switch("x"): there are two arms for "eu": leave one out`},
		"two Defaults":                   {func() { begin.Switch("x", itself, Default(a), Default(b)) }, `"f".Switch("x"): there are two arms for "default": leave one out`},
		"Default and a Case of its name": {func() { begin.Switch("x", itself, Default(a), Case("default", b)) }, `"f".Switch("x"): there are two arms for "default": leave one out`},

		// paths
		"a step twice":        {func() { begin.Then(a).Then(a) }, `"f".Then: two parts have the path "a", a step and a step: give one of them another name with As`},
		"both arms":           {func() { begin.If("x", isX, a, a) }, `"f".If("x"): two parts have the path "x/a", a step and a step: give one of them another name with As`},
		"arms of a Switch":    {func() { begin.Switch("x", itself, Case("1", a), Default(a)) }, `two parts have the path "x/a"`},
		"step and choice":     {func() { begin.Then(a).When("a", isX, b) }, `"f".When("a"): two parts have the path "a", a step and a choice`},
		"flow and step":       {func() { begin.Then(a.As("other")).Then(other) }, `two parts have the path "other", a step and a flow`},
		"a flow twice":        {func() { begin.Then(other).Then(other) }, `two parts have the path "other", a flow and a flow`},
		"a child twice":       {func() { begin.Then(Child(other)).Then(Child(other)) }, `two parts have the path "other", a child and a child`},
		"a race with oneself": {func() { begin.Race("x", a, b, a) }, `"f".Race("x"): two parts have the path "x/a", a step and a step`},
		"both of one":         {func() { begin.Both("x", a, a, join3) }, `two parts have the path "x/a"`},
		"a signal twice":      {func() { begin.Wait(sig, received).WaitFor(sig, time.Hour, received, a) }, `"f".WaitFor("sig"): two parts have the path "sig", a wait and a wait: give one of them another name with As`},
		"delay and loop":      {func() { begin.Delay("x", minute).Loop("x", 1, a, isX) }, `two parts have the path "x", a delay and a loop`},
		"each and race":       {func() { begin.Each("x", lens, double, joinEach).Race("x", a, b) }, `two parts have the path "x", an each and a race`},
		"inside a use":        {func() { begin.Then(a).Use(a, itself, join2) }, `"f".Use: two parts have the path "a"`},
		"parallel and choice": {func() { begin.Both("x", a, b, join3).When("x", isX, c) }, `two parts have the path "x", a group of parallel parts and a choice`},

		// types
		"input":  {func() { New[lossy]("f") }, `New("f"): a flow.lossy could not come back whole from storage: lossy.hidden is not exported`},
		"output": {func() { begin.Map(toLossy) }, `"f".Map: a flow.lossy could not come back whole from storage: lossy.hidden is not exported`},
		"signal": {func() { NewSignal[chan int]("s") }, `NewSignal("s"): a chan int could not come back whole from storage`},
		"items": {func() {
			begin.Each("x", func(string) []int { return nil }, double, func(string, []int) any { return nil })
		}, `"f".Each("x"): a interface {} could not come back whole from storage`},

		// settings of inner flows
		"inner Deadline":       {func() { begin.Then(other.Deadline(time.Hour)) }, `"f".Then: the part, flow "other", has Deadline, which a saga has as a whole: leave it out, or make the flow a saga of its own with flow.Child`},
		"inner Version":        {func() { begin.If("x", isX, other.Version(2), b) }, `"f".If("x"): the part for true, flow "other", has Version, which`},
		"inner order of undos": {func() { begin.Then(other.UndoInOrder().StopUndoOnFailure()) }, `the part, flow "other", has UndoInOrder and StopUndoOnFailure, which`},

		// pivots
		"pivot in Both":            {func() { begin.Both("x", pivot, b, join3) }, `"f".Both("x"): the pivot "x/pivot" stands inside a group of parallel parts, "x": put it into the main sequence, or into every arm of an If or Switch there`},
		"pivot in All3":            {func() { begin.All3("x", a, b, turning, join4) }, `the pivot "x/turning/pivot" stands inside a group of parallel parts, "x"`},
		"pivot in Each":            {func() { begin.Each("x", lens, double.Pivot(), joinEach) }, `the pivot "x[]/double" stands inside an each, "x"`},
		"pivot in Race":            {func() { begin.Race("x", pivot, b) }, `the pivot "x/pivot" stands inside a race, "x"`},
		"pivot in Loop":            {func() { begin.Loop("x", 2, pivot, isX) }, `the pivot "x#/pivot" stands inside a loop, "x"`},
		"pivot in When":            {func() { begin.When("x", isX, pivot) }, `the pivot "x/pivot" stands inside a choice, "x"`},
		"pivot when late":          {func() { begin.WaitFor(sig, time.Hour, received, pivot) }, `the pivot "sig/pivot" stands inside a wait, "sig"`},
		"pivot in one arm":         {func() { begin.If("x", isX, pivot, b) }, `"f".If("x"): arm "yes" of choice "x" has a pivot and arm "no" has none: give every arm one, or put the pivot after the choice`},
		"pivot in one case":        {func() { begin.Switch("x", itself, Case("eu", a), Default(pivot)) }, `arm "default" of choice "x" has a pivot and arm "eu" has none`},
		"pivot deep in Both":       {func() { begin.Both("x", New[string]("deep").If("y", isX, pivot, pivot.As("p2")), b, join3) }, `the pivot "x/deep/y/pivot" stands inside a group of parallel parts, "x"`},
		"child with pivot in Both": {func() { begin.Both("x", Child(turning), b, join3) }, `the pivot "x/turning/pivot" stands inside a group`},
		"two pivots":               {func() { begin.Then(pivot).Then(pivot.As("p2")) }, `"f".Then: "p2" is a second pivot, after "pivot": a saga passes at most one`},
		"pivot after arms":         {func() { begin.If("x", isX, pivot, pivot.As("p2")).Then(pivot) }, `"pivot" is a second pivot, after "x": a saga passes at most one`},
		"two pivots in a flow":     {func() { begin.Then(pivot).Then(turning) }, `"turning/pivot" is a second pivot, after "pivot"`},
		"two pivots in a child":    {func() { begin.Then(pivot).Then(Child(turning)) }, `"turning" is a second pivot, after "pivot"`},
		"undo after pivot":         {func() { begin.Then(pivot).Then(undoing) }, `"f".Then: "undoing" has a compensation and comes after the pivot "pivot", where nothing is undone: leave it out, or put it before the pivot`},
		"undo deep after pivot": {func() {
			begin.Then(turning).Both("x", a, New[string]("deep").Each("y", lens, double.Compensate(func(context.Context, step.Effect[int, int]) error { return nil }), joinEach), join3)
		}, `"x/deep/y[]/double" has a compensation and comes after the pivot "turning/pivot"`},
		"undo after a child":          {func() { begin.Then(Child(turning)).Then(undoing) }, `"undoing" has a compensation and comes after the pivot "turning"`},
		"undo in a child after pivot": {func() { begin.Then(pivot).Then(Child(New[string]("inner").Then(undoing))) }, `"inner/undoing" has a compensation and comes after the pivot "pivot"`},
		"undo in an arm after pivot":  {func() { begin.Then(pivot).If("x", isX, a, undoing) }, `"x/undoing" has a compensation and comes after the pivot "pivot"`},
		"Race in a child after pivot": {func() { begin.Then(pivot).Then(Child(New[string]("c").Race("x", a, b))) }, `race "c/x" comes after the pivot "pivot", where its losers could not be undone: put it before the pivot`},
		"Race after pivot":            {func() { begin.Then(pivot).Race("x", a, b) }, `"f".Race("x"): race "x" comes after the pivot "pivot", where its losers could not be undone: put it before the pivot`},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				require.Contains(t, text, tt.want)
				require.True(t, strings.HasPrefix(text, "flow: "), text)
			}()
			tt.define()
		})
	}
}

func TestWhatLooksLikeAMistakeAndIsNone(t *testing.T) {
	turning := New[string]("turning").Then(pivot)
	for name, define := range map[string]func(){
		"a step in two groups":         func() { begin.Both("x", a, b, join3).Both("y", a, b, join3) },
		"a flow twice under two names": func() { begin.Then(turning.As("1")).Map(itself) },
		"a pivot in every arm":         func() { begin.If("x", isX, pivot, turning).Then(a) },
		"a pivot in every case":        func() { begin.Switch("x", itself, Case("1", pivot), Default(turning)) },
		"a pivot in the only case":     func() { begin.Switch("x", itself, Case("1", pivot)).Then(a) },
		"a pivot in Also and Use":      func() { begin.Then(undoing).Also(pivot, join2).Use(a, itself, join2) },
		"undo before the pivot":        func() { begin.Then(undoing).Race("r", a, b).Then(pivot) },
		"parallel after a pivot": func() {
			begin.Then(pivot).Both("x", a, b, join3).Each("y", lens, double, joinEach).Loop("z", 2, a, isX)
		},
		"a choice after a pivot":         func() { begin.Then(pivot).When("x", isX, a).If("y", isX, a, b).Wait(sig, received) },
		"a child without undos after it": func() { begin.Then(pivot).Then(Child(New[string]("inner").Then(a))) },
		"a child that is the pivot":      func() { begin.Then(undoing).Then(Child(turning)).Then(a) },
		"settings of a child":            func() { begin.Then(Child(turning.Deadline(time.Hour).Version(2))) },
		"a pointer to a step":            func() { begin.Then(&a) },
	} {
		t.Run(name, func(t *testing.T) { require.NotPanics(t, define) })
	}
}
