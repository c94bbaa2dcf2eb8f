{#- Pairs of a published table's name and a checksum over the files of its model and of every model and seed it is built from. -#}
{% macro computation_checksums() -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() | sort(attribute='unique_id')
            if node.resource_type == 'model' and node.schema in ('core', 'metrics', 'meta') -%}
            {%- set ancestors = [node.unique_id] -%}
            {%- for name in ancestors -%}
                {%- for parent in graph.nodes[name].depends_on.nodes if parent in graph.nodes and parent not in ancestors -%}
                    {%- do ancestors.append(parent) -%}
                {%- endfor -%}
            {%- endfor -%}
            {%- set files = [] -%}
            {%- for name in ancestors | sort -%}
                {%- do files.append(name ~ ' ' ~ graph.nodes[name].checksum.checksum) -%}
            {%- endfor -%}
            {%- do found.append((node.schema ~ '.' ~ node.name, local_md5(files | join('\n')))) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}
