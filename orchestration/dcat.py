"""``dcat-ap-de.ttl``: the public tier as an entry of a German open data catalogue (DCAT-AP.de 2.0).

Belongs here: the whole mapping from a data package to DCAT-AP.de. Does not: what is published and under which terms (``data_package``,
``licences``), who publishes (``publisher``).

Source: DCAT-AP.de 2.0, specification and Konventionenhandbuch (https://www.dcat-ap.de/def/dcatde/2.0/spec/ and …/implRules/), whose
conventions (K) are named where they decide. A table is a dataset with two distributions, CSV and Parquet: the same data in two formats
(K20). Nobody is invented: publisher, contact and contributor are left out where they are not configured, and then the entry is whole for
one's own catalogue, but not yet for GovData. Left out on purpose: checksums, which ``SHA256SUMS`` holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rdflib import DCAT, DCTERMS, FOAF, RDF, RDFS, XSD, Graph, Literal, Namespace, URIRef
from rdflib.term import Node

from orchestration.publisher import Publisher

NAME = "dcat-ap-de.ttl"
_DCATDE = Namespace("http://dcat-ap.de/def/dcatde/")
_DCATAP = Namespace("http://data.europa.eu/r5r/")
_VCARD = Namespace("http://www.w3.org/2006/vcard/ns#")
_EU = "http://publications.europa.eu/resource/authority/"
_GEO = "http://dcat-ap.de/def/politicalGeocoding/"
_FILE_TYPES = {"csv": "CSV", "parquet": "PARQUET"}
_MEDIA_TYPES = "https://www.iana.org/assignments/media-types/"


def write(folder: Path, package: Mapping[str, Any], lands: Iterable[str], publisher: Publisher) -> Path:
    """Write the catalogue entry of a public tier beside its files. ``lands``: codes of the Länder that it tells of."""
    path = folder / NAME
    path.write_text(graph(package, lands, publisher).serialize(format="turtle"), encoding="utf-8")
    return path


def graph(package: Mapping[str, Any], lands: Iterable[str], publisher: Publisher) -> Graph:
    """The entry as RDF. Addresses are relative to the file where ``publisher`` does not say where the folder is served."""
    rdf, lands = Graph(), sorted(lands)
    for prefix, namespace in (("dcatde", _DCATDE), ("dcatap", _DCATAP), ("vcard", _VCARD), ("dct", DCTERMS)):
        rdf.bind(prefix, namespace)
    base = publisher.address or ""
    release = package["release"]
    agent = _agent(rdf, base, publisher)
    contact = _contact(rdf, base, publisher)
    created = Literal(package["created"], datatype=XSD.dateTime)
    catalogue = URIRef(f"{base}#catalogue")
    if agent is not None:  # a catalogue must have a publisher, a dataset need not
        rdf.add((catalogue, RDF.type, DCAT.Catalog))
        _texts(rdf, catalogue, DCTERMS.title, package["title"])
        _texts(rdf, catalogue, DCTERMS.description, package["description"])
        rdf.add((catalogue, DCTERMS.publisher, agent))
        rdf.add((catalogue, DCTERMS.modified, created))
        rdf.add((catalogue, DCTERMS.language, URIRef(f"{_EU}language/DEU")))
    period = URIRef(f"{base}#period")
    rdf.add((period, RDF.type, DCTERMS.PeriodOfTime))
    rdf.add((period, DCAT.endDate, Literal(release["as_of"], datatype=XSD.date)))
    tables = {one["title"]: one for one in package["resources"] if one.get("type") == "table" and not one.get("is_withheld")}
    for table, resource in tables.items():
        dataset = URIRef(f"{base}#{table}")
        rdf.add((dataset, RDF.type, DCAT.Dataset))
        if agent is not None:
            rdf.add((catalogue, DCAT.dataset, dataset))
            rdf.add((dataset, DCTERMS.publisher, agent))
        if contact is not None:
            rdf.add((dataset, DCAT.contactPoint, contact))
        if publisher.contributor_id:
            contributor = URIRef(f"http://dcat-ap.de/def/contributors/{publisher.contributor_id}")
            rdf.add((dataset, _DCATDE.contributorID, contributor))
        synthetic = "Synthetische Daten, erfunden. " if release["is_synthetic"] else ""
        _texts(rdf, dataset, DCTERMS.title, f"Rollout digitaler Verwaltungsleistungen: {table}")  # neither time nor place (K19)
        rdf.add((dataset, DCTERMS.description, Literal(f"{synthetic}Tabelle {table} des öffentlichen Teils.", lang="de")))
        rdf.add((dataset, DCTERMS.description, Literal(resource["description"], lang="en")))
        rdf.add((dataset, DCTERMS.identifier, Literal(f"rollin/{table}")))
        rdf.add((dataset, DCTERMS.modified, created))
        rdf.add((dataset, DCTERMS.temporal, period))
        rdf.add((dataset, DCTERMS.language, URIRef(f"{_EU}language/DEU")))
        rdf.add((dataset, DCTERMS.accrualPeriodicity, URIRef(f"{_EU}frequency/DAILY")))
        rdf.add((dataset, DCAT.theme, URIRef(f"{_EU}data-theme/GOVE")))
        rdf.add((dataset, DCAT.landingPage, URIRef(publisher.address or "./")))
        for keyword in package["keywords"]:
            rdf.add((dataset, DCAT.keyword, Literal(keyword, lang="de")))
        rdf.add((dataset, DCTERMS.provenance, _provenance(rdf, dataset, resource, release)))
        rdf.add((dataset, _DCATAP.availability, URIRef(f"{_EU}planned-availability/AVAILABLE")))
        for land_code in lands:  # K8, K11
            key = URIRef(f"{_GEO}stateKey/{land_code}")
            rdf.add((dataset, _DCATDE.politicalGeocodingURI, key))
            rdf.add((dataset, DCTERMS.spatial, key))
        if lands:
            rdf.add((dataset, _DCATDE.politicalGeocodingLevelURI, URIRef(f"{_GEO}Level/state")))
        for one in package["resources"]:
            if one.get("title") == table:
                rdf.add((dataset, DCAT.distribution, _distribution(rdf, base, one, created)))
    return rdf


def _distribution(rdf: Graph, base: str, resource: Mapping[str, Any], created: Literal) -> URIRef:
    name = resource["name"].removesuffix(f".{resource['format']}")  # of the table, and of the month where each has a file
    distribution, file = URIRef(f"{base}#{name}.{resource['format']}"), URIRef(f"{base}{resource['path']}")
    rdf.add((distribution, RDF.type, DCAT.Distribution))
    rdf.add((distribution, DCTERMS.title, Literal(f"{name} ({_FILE_TYPES[resource['format']]})", lang="de")))
    rdf.add((distribution, DCAT.accessURL, file))
    rdf.add((distribution, DCAT.downloadURL, file))  # K39: a direct file
    rdf.add((distribution, DCTERMS["format"], URIRef(f"{_EU}file-type/{_FILE_TYPES[resource['format']]}")))
    rdf.add((distribution, DCAT.mediaType, URIRef(_MEDIA_TYPES + resource["mediatype"])))
    rdf.add((distribution, DCAT.byteSize, Literal(str(resource["bytes"]), datatype=XSD.decimal)))
    rdf.add((distribution, DCTERMS.modified, created))
    rdf.add((distribution, _DCATAP.availability, URIRef(f"{_EU}planned-availability/AVAILABLE")))
    for stated in resource.get("licenses", ()):  # K31: from the closed list
        rdf.add((distribution, DCTERMS.license, URIRef(stated["dcat"])))
    if attribution := resource.get("attribution"):  # K35
        rdf.add((distribution, _DCATDE.licenseAttributionByText, Literal(attribution, lang="de")))
    return distribution


def _agent(rdf: Graph, base: str, publisher: Publisher) -> Node | None:
    if publisher.name is None:
        return None
    agent = URIRef(publisher.url or f"{base}#publisher")
    rdf.add((agent, RDF.type, FOAF.Agent))
    rdf.add((agent, FOAF.name, Literal(publisher.name, lang="de")))
    return agent


def _contact(rdf: Graph, base: str, publisher: Publisher) -> Node | None:
    if publisher.email is None and publisher.contact_url is None:
        return None
    contact = URIRef(f"{base}#contact")
    rdf.add((contact, RDF.type, _VCARD.Organization))
    rdf.add((contact, RDF.type, _VCARD.Kind))
    rdf.add((contact, _VCARD.fn, Literal(publisher.name or publisher.email or publisher.contact_url)))
    if publisher.email:
        rdf.add((contact, _VCARD.hasEmail, URIRef(f"mailto:{publisher.email}")))
    if publisher.contact_url:
        rdf.add((contact, _VCARD.hasURL, URIRef(publisher.contact_url)))
    return contact


def _provenance(rdf: Graph, dataset: URIRef, resource: Mapping[str, Any], release: Mapping[str, Any]) -> URIRef:
    statement = URIRef(f"{dataset}.provenance")
    sources = "; ".join(source["title"] for source in resource.get("sources", ())) or "keine Lieferung"
    text = f"Gerechnet aus: {sources}. Version des Programms {release['code_version']}, Veröffentlichung {release['release_id']}."
    rdf.add((statement, RDF.type, DCTERMS.ProvenanceStatement))
    rdf.add((statement, RDFS.label, Literal(text, lang="de")))
    return statement


def _texts(rdf: Graph, subject: URIRef, predicate: URIRef, text: str) -> None:
    rdf.add((subject, predicate, Literal(text, lang="de")))
