# report.awk - the table and bench.json from the samples.
#
# Files in this order: expected (row group units unit checksum), samples (row engine rounds nanoseconds), about (what, TAB,
# text), errors (lines).

FNR == 1 { while (ARGV[++file] != FILENAME) continue }
file == 1 { group[$1] = $2; units[$1] = $3; unit[$1] = $4 }
file == 2 { k = $1 SUBSEP $2; rounds[k] = $3; sample[k, count[k]++] = $4 / ($3 * units[$1]) }
file == 3 { at = index($0, "\t"); about = about ",\n  " quoted(substr($0, 1, at - 1)) ": " quoted(substr($0, at + 1)) }
file == 4 { errors = errors (errors ? ", " : "") quoted($0) }

function quoted(s)
{
    gsub(/\\/, "\\\\", s)
    gsub(/"/, "\\\"", s)
    gsub(/[\t\r]/, " ", s)
    return "\"" s "\""
}

# Sorts the samples of k; sets median[k] and spread[k], half the distance from least to most in percent of the median.
function digest(k,    i, j, n, t)
{
    n = count[k]
    for (i = 1; i < n; i++)
        for (j = i; j && sample[k, j - 1] > sample[k, j]; j--) {
            t = sample[k, j]; sample[k, j] = sample[k, j - 1]; sample[k, j - 1] = t
        }
    median[k] = n % 2 ? sample[k, int(n / 2)] : (sample[k, n / 2 - 1] + sample[k, n / 2]) / 2
    if (median[k] > 0)
        spread[k] = (sample[k, n - 1] - sample[k, 0]) / median[k] * 50
    else
        delete median[k] # noise only
}

function number(v) { return v >= 1000000 ? sprintf("%.3g M", v / 1e6) : v >= 100 ? sprintf("%.0f", v) : sprintf("%.3g", v) }

# How many times as fast `fast` is in this row; "" if one is missing.
function ratio(row, fast, slow)
{
    return (row, fast) in median && (row, slow) in median ? median[row, slow] / median[row, fast] : ""
}

function add_mean(set, pair, r)
{
    if (r == "")
        return
    logs[set, pair] += log(r)
    logged[set, pair]++
}

function mean(set, pair) { return logged[set, pair] ? exp(logs[set, pair] / logged[set, pair]) : "" }
function show_ratio(r) { return r == "" ? "-" : sprintf("%.2f", r) }

function table_row(row,    e, k, worst, pair)
{
    printf "%-12s %-10s", row, unit[row]
    for (e = 1; e <= engine_count; e++) {
        k = row SUBSEP engine[e]
        if (count[k])
            digest(k)
        printf " %9s", k in median ? number(median[k]) : "-"
        if (k in median && spread[k] > worst)
            worst = spread[k]
    }
    for (pair = 1; pair <= 2; pair++) {
        r = ratio(row, fast[pair], slow[pair])
        printf " %12s", show_ratio(pair == 2 && r != "" ? 1 / r : r)
        add_mean(group[row], pair, r)
        if (group[row] == "integer" || group[row] == "system")
            add_mean("integer+system", pair, r)
    }
    printf "   +-%.0f%%\n", worst
}

function json_row(row,    e, k, i, s)
{
    s = sprintf("    {\"row\": \"%s\", \"group\": \"%s\", ", row, group[row])
    s = s sprintf("\"unit\": \"%s\", \"units_a_round\": %d", unit[row], units[row])
    for (e = 1; e <= engine_count; e++) {
        k = row SUBSEP engine[e]
        if (!(k in median)) {
            s = s sprintf(",\n     \"%s\": null", engine[e])
            continue
        }
        s = s sprintf(",\n     \"%s\": {\"ns_a_unit\": %.6g, \"rounds\": %d, \"samples\": [", engine[e], median[k], rounds[k])
        for (i = 0; i < count[k]; i++)
            s = s sprintf("%s%.6g", i ? ", " : "", sample[k, i])
        s = s "]}"
    }
    return s "}"
}

function json_means(pair,    i, s, m)
{
    for (i = 1; i <= set_count; i++) {
        m = mean(set[i], pair)
        s = s sprintf("%s\"%s\": %s", i > 1 ? ", " : "", set[i], m == "" ? "null" : sprintf("%.4g", m))
    }
    return "{" s "}"
}

END {
    engine_count = split(engines, engine, " ")
    row_count = split(rows, row_name, " ")
    set_count = split("integer vector x87 strings system io integer+system", set, " ")
    fast[1] = fast[2] = "jit"
    slow[1] = "qemu"
    slow[2] = "native"

    printf "\nNanoseconds for a unit of work, median of %d; jit/qemu: how many times as fast the JIT is;\n", times
    printf "jit/native: how many times as long it takes; +-: the widest spread of samples in the row.\n\n"
    printf "%-12s %-10s", "row", "unit"
    for (e = 1; e <= engine_count; e++)
        printf " %9s", engine[e]
    printf " %12s %12s\n", "jit/qemu", "jit/native"
    for (i = 1; i <= row_count; i++)
        table_row(row_name[i])
    print "\nGeometric means"
    for (i = 1; i <= set_count; i++) {
        m = mean(set[i], 2)
        printf "%-23s", set[i]
        for (e = 1; e <= engine_count; e++)
            printf "%10s", ""
        printf " %12s %12s\n", show_ratio(mean(set[i], 1)), show_ratio(m == "" ? "" : 1 / m)
    }

    printf "{\n  \"samples_a_row\": %d%s,\n  \"errors\": [%s],\n", times, about, errors >json
    printf "  \"geometric_mean_of_speed\": {\"jit/qemu\": %s, \"jit/native\": %s},\n", json_means(1), json_means(2) >json
    printf "  \"rows\": [\n" >json
    for (i = 1; i <= row_count; i++)
        printf "%s%s\n", json_row(row_name[i]), i < row_count ? "," : "" >json
    print "  ]\n}" >json
}
